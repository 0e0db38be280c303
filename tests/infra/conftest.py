"""The Bicep compiler, where the machine has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.infra import compiler


@pytest.fixture(scope="session")
def bicep() -> Iterator[Any]:
    """One running compiler for all tests."""
    with compiler() as running:
        yield running
