"""The committed snapshots of what would be deployed, and the compiler that they come from."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.services import ROOT

INFRA = ROOT / "infra"


def load(path: Path) -> ModuleType:
    """A program of infra/ as a module; the folder is no package."""
    name = f"infra_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


snapshots = load(INFRA / "snapshots.py")


def compiler() -> Any:
    """The Bicep compiler while it runs, for a ``with``; without one on the machine the test is skipped.

    It is a program of Microsoft's that neither PyPI nor npm has: set-up cannot install it. The workflow of
    pull requests installs it, and a test holds that.
    """
    found = snapshots.find_bicep()
    if found is None:
        pytest.skip("Bicep is not on the PATH, and the variable BICEP does not say where it is")
    return snapshots.running(found)


DEPLOYMENTS = ["main", "dev", "prod", "options/private-network", "options/existing-services"]
"""The cases that deploy the app."""


class Deployment:
    """What a parameter file would deploy.

    Attributes:
        case: the file.
        resources: all of it.
        outputs: what azd keeps.
    """

    def __init__(self, case: str) -> None:
        content = json.loads(snapshots.path_of(case).read_text(encoding="utf-8"))
        self.case = case
        self.resources: list[dict[str, Any]] = content["predictedResources"]
        self.outputs: dict[str, Any] = content.get("outputs", {})

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Resources of a type, without regard to upper and lower case."""
        return [each for each in self.resources if each["type"].lower() == kind.lower()]

    def one(self, kind: str) -> dict[str, Any]:
        """The only resource of a type."""
        found = self.all(kind)
        assert len(found) == 1, f"{self.case}: {kind}: {[each['id'] for each in found]}"
        return found[0]

    def settings(self) -> dict[str, str]:
        """The app's settings."""
        pairs = self.one("Microsoft.Web/sites")["properties"]["siteConfig"]["appSettings"]
        return {pair["name"]: pair["value"] for pair in pairs}


@cache
def deployment(case: str) -> Deployment:
    """The committed snapshot of a parameter file."""
    return Deployment(case)


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def tail(resource: dict[str, Any]) -> str:
    """A resource's id without subscription: where it is, and what."""
    return str(resource["id"]).partition("/resourceGroups/")[2]
