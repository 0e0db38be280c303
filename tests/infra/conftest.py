"""The Bicep compiler, where the machine has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.infra import snapshots


@pytest.fixture(scope="session")
def bicep() -> Iterator[Any]:
    """One running compiler for all tests."""
    found = snapshots.find_bicep()
    if found is None:
        pytest.skip("Bicep is not on the PATH, and the variable BICEP does not say where it is")
    with snapshots.running(found) as running:
        yield running
