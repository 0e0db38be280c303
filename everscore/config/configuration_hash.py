"""What a deployment reads events and makes scores by, as one hash: each verdict is on one of those."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path


def configuration_hash(files: Iterable[Path], own_code: str | None) -> str:
    """SHA-256 over stream.json, the manifests of the models, and own code.

    A model's manifest holds the hashes of all other files that make a score, and none is used that differs.

    Args:
        files: in order; one that is missing counts as such.
        own_code: the setting DECODER, its module imported; None without one.
    """
    lines = [_line(path) for path in files]
    if own_code is not None:
        lines += [own_code, *map(_line, _sources(own_code.partition(":")[0]))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _line(path: Path) -> str:
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else 'missing'}"


def _sources(module: str) -> list[Path]:
    """The file of a module; of one in a package, each file of that package."""
    top = sys.modules[module.partition(".")[0]]
    folders = [Path(each) for each in getattr(top, "__path__", ())]
    if folders:
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return sorted(path for path in files if "__pycache__" not in path.parts)
    return [Path(top.__file__)] if top.__file__ else []
