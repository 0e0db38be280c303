"""The hash that a verdict is on."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from everscore.config.configuration_hash import configuration_hash


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """stream.json and a model's manifest."""
    made = [tmp_path / "stream.json", tmp_path / "models" / "m" / "manifest.json"]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return made


def test_hole_02_each_part_of_a_configuration_changes_its_hash(files: list[Path]) -> None:
    """stream.json, the manifest (with the hashes of all that makes a score), and which of them is missing."""
    first = configuration_hash(files, None)
    assert configuration_hash(files, None) == first
    assert len(first) == 64
    seen = {first}
    for path in files:
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        seen.add(configuration_hash(files, None))
        path.unlink()
        seen.add(configuration_hash(files, None))
        path.write_bytes(before)
    assert len(seen) == 5
    assert configuration_hash(files, None) == first


def test_hole_02_own_code_is_part_of_a_configuration(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module that DECODER names; of one in a package all of that, whatever lies beside the module."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_module_of_this_test.py").write_text("def decode(bodies): return bodies")
    package = tmp_path / "own_package_of_this_test"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "inner" / "code.py").write_text("def decode(bodies): return bodies")
    (package / "schema.avsc").write_text("{}")
    settings = ("own_module_of_this_test:decode", "own_package_of_this_test.inner.code:decode")
    for setting in settings:
        importlib.import_module(setting.partition(":")[0])
    without = configuration_hash(files, None)
    hashes = [configuration_hash(files, setting) for setting in settings]
    assert len({without, *hashes}) == 3
    (tmp_path / "own_module_of_this_test.py").write_text("def decode(bodies): return []")
    (package / "schema.avsc").write_text("[]")
    changed = [configuration_hash(files, setting) for setting in settings]
    assert not {*hashes} & {*changed}
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "code.pyc").write_bytes(b"compiled")
    assert [configuration_hash(files, setting) for setting in settings] == changed
    assert configuration_hash(files, "own_module_of_this_test:other") != changed[0]


def test_hole_02_what_own_code_imports_from_beside_it_is_part_of_a_configuration(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a single module those files beside it count that it imports, also by way of another, and no others."""
    monkeypatch.syspath_prepend(tmp_path)
    sources = {
        "own_decoder_of_this_test.py": "from generated_of_this_test import name\nimport everscore.failures",
        "generated_of_this_test.py": "import generated_of_this_test, inner_of_this_test.code\nname = 1",
        "inner_of_this_test/__init__.py": "",
        "inner_of_this_test/code.py": "from . import code",
        "inner_of_this_test/schema.avsc": "{}",
        "stranger_of_this_test.py": "",
    }
    for name, text in sources.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    importlib.import_module("own_decoder_of_this_test")
    setting = "own_decoder_of_this_test:decode"
    first = configuration_hash(files, setting)
    changing = set()
    for name in sources:
        path = tmp_path / name
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        if configuration_hash(files, setting) != first:
            changing.add(name)
        path.write_bytes(before)
    assert changing == {*sources} - {"stranger_of_this_test.py"}
    assert configuration_hash(files, setting) == first
