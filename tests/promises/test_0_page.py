"""docs/reliability.md says of each promise which tests hold it, and says so truly."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """The module that writes the page's table."""
    from tests.promises import page

    return page


def test_the_page_is_as_it_would_be_written(page: ModuleType) -> None:
    """`python -m tests.promises.page` would change nothing."""
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    assert page.written(text) == text, "run python -m tests.promises.page"


def test_each_promise_is_held_by_a_file_of_its_own(page: ModuleType) -> None:
    """Each promise of docs/design.md has a file here, and each of its mechanisms a test end to end."""
    numbers = {int(path.name.split("_")[1]) for path in HERE.glob("test_[1-9]*_*.py")}
    assert set(page.promises()) == {1, 2, 3, 4, 5}
    assert set(page.promises()) <= numbers
    assert set(page.promises()) == {each.promise for each in page.MECHANISMS} - {page.TOGETHER}
    for mechanism in page.MECHANISMS:
        prefix = f"tests/promises/test_{mechanism.promise or ''}"
        assert any(test.startswith(prefix) for test in mechanism.tests), mechanism.how


def test_each_test_of_a_promise_is_on_the_page(page: ModuleType) -> None:
    """No test of a promise is left out, and none that is named is missing or says nothing."""
    named = {test for mechanism in page.MECHANISMS for test in mechanism.tests}
    for test in named:
        path, _, function = test.partition("::")
        assert page.tests_in(path)[function], f"{test} has no docstring"
    here = {
        f"tests/promises/{path.name}::{function}"
        for path in HERE.glob("test_[1-9]*_*.py")
        for function in page.tests_in(f"tests/promises/{path.name}")
    }
    assert here <= named


def test_what_the_limits_name_is_there(page: ModuleType) -> None:
    """Every number of the limits that is a setting's or host.json's default is still that default."""
    import json

    from everscore.config.settings import Settings

    text = page.PAGE.read_text(encoding="utf-8")
    fields = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    quoted = re.findall(r"`([A-Z_]+)` \((\d+(?:\.\d+)?)\)", text)
    assert len(quoted) >= 4
    for name, number in quoted:
        assert float(fields[name]) == float(number), name
    host = json.loads((page.ROOT / "host.json").read_text(encoding="utf-8"))
    assert host["extensions"]["queues"]["maxDequeueCount"] == 100
    assert "after 100 receipts" in text
    sizes = (page.ROOT / "infra" / "sizes.bicep").read_text(encoding="utf-8")
    assert re.findall(r"retentionHours: (\d+)", sizes) == ["24", "72"]
    assert "24 hours (dev) and 72 (prod)" in text


def test_each_test_of_a_fault_says_what_it_shows(page: ModuleType) -> None:
    """The table of faults has a sentence in each row, and no gap that is not told: who looks one up finds it."""
    found = page.faults()
    for number, tests in found.items():
        for path, name, said in tests:
            assert said.endswith("."), f"{number}: {path}::{name} has no docstring of one sentence"
