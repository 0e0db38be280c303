"""What a deployment reads events and makes scores by, as one hash: each verdict is on one of those."""

from __future__ import annotations

import ast
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
    """The file of a module and those beside it that it imports; of one in a package, each file of that."""
    top = sys.modules[module.partition(".")[0]]
    folders = [Path(each) for each in getattr(top, "__path__", ())]
    if folders:
        return _files_in(folders)
    return _with_imported(Path(top.__file__)) if top.__file__ else []


def _files_in(folders: Iterable[Path]) -> list[Path]:
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if "__pycache__" not in path.parts)


def _with_imported(file: Path) -> list[Path]:
    """A file, and the modules and packages beside it that it or one of them imports, such as a generated one.

    By what stands in the sources, since what is loaded differs from process to process.
    """
    found: list[Path] = []
    pending = [file]
    while pending:
        path = pending.pop()
        if path in found:
            continue
        found.append(path)
        if path.suffix != ".py":
            continue
        for name in _imported(path):
            beside, package = file.parent / f"{name}.py", file.parent / name
            if (package / "__init__.py").is_file():
                pending += _files_in([package])
            elif beside.is_file():
                pending.append(beside)
    return sorted(found)


def _imported(file: Path) -> set[str]:
    """The first part of each module's name that a file imports from the path, this package's own left out."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # nothing is imported by way of a file that cannot be
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} - {__name__.partition(".")[0]}
