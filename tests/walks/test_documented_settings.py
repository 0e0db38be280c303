"""The pages on settings and on host.json say what the code and the file say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everscore.config.settings import Settings, load_settings, setting_names

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `([^`]+)` \| (?:`([^`]*)`|([^|]*?)) \| (.+) \|$", re.MULTILINE)


def rows(page: str) -> dict[str, tuple[str, str]]:
    """By the name in the first column of a page's tables: the value in the second, the text in the third."""
    found = ROW.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert len({name for name, *_ in found}) == len(found)
    return {name: (code or text, reason) for name, code, text, reason in found}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value in a JSON document, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def test_the_page_on_host_json_has_every_value_and_its_reason() -> None:
    """docs/host-json.md names exactly the values of host.json, each with a reason."""
    page = rows("host-json.md")
    assert {name: value for name, (value, _) in page.items()} == dict(
        leaves(json.loads((ROOT / "host.json").read_text(encoding="utf-8")))
    )
    assert all(len(reason) > 10 for _, reason in page.values())


def test_the_page_on_settings_has_every_setting_and_its_default() -> None:
    """docs/settings.md names exactly the app's settings, with the default that the code has."""
    page = rows("settings.md")
    expected = {}
    for field in Settings.model_fields.values():
        default = "none" if field.is_required() or field.default is None else field.default
        shown = (
            str(default).lower()
            if isinstance(default, bool)
            else f"{default:g}"
            if isinstance(default, float)
            else str(default)
        )
        expected[str(field.validation_alias)] = shown
    assert {name: value for name, (value, _) in page.items() if name in expected} == expected
    assert set(page) - set(expected) == {"FUNCTIONS_WORKER_RUNTIME"}


def test_the_example_is_complete_and_valid() -> None:
    """The example settings are read without a complaint and hold everything that has no default."""
    values = json.loads((ROOT / "local.settings.example.json").read_text(encoding="utf-8"))["Values"]
    settings = load_settings(values)
    assert settings.eventhub_connection().connection_string == values["EVENTHUB"]
    assert settings.cosmos_connection().connection_string == values["COSMOS"]
    assert settings.storage_connection().connection_string == values["STORAGE"]
    assert set(values) - set(setting_names()) == {"FUNCTIONS_WORKER_RUNTIME"}
    assert values["FUNCTIONS_WORKER_RUNTIME"] == "python"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
    ],
)
def test_every_link_leads_somewhere(page: str) -> None:
    """Each relative link of a page leads to a file that is there."""
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
