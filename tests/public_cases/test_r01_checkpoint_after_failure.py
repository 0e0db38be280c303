"""R01: the checkpoint moves on even when the function raised, so the rest of the batch is gone.

Condition: one bad event in a batch, and an exception that escapes the function.
Right: no exception for a data fault; the failed event goes on by itself. Only where no place takes an event
does the function raise, under an endless retry policy, so that the host keeps the batch and its checkpoint.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.app import wait_until
from tests.support.flights import flight
from tests.support.local_stack import LocalStack, local_stack
from tests.support.read_back import dead_letters, documents

GOOD = 20


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    """The whole stack."""
    with tempfile.TemporaryDirectory() as folder, local_stack(Path(folder)) as running:
        yield running


def test_a_bad_event_passes_with_its_neighbours_stored(stack: LocalStack) -> None:
    """A data fault ends the batch well: the neighbours are stored, the bad one is a dead letter, and the hub is passed."""
    # As many as show that the data is at fault and not the configuration; until then the bad one would wait.
    stack.send([flight(0), b"bad", *(flight(number) for number in range(1, GOOD))])
    stack.wait_drained()
    assert {each["event"]["flight"] for each in documents(stack.services)} == set(range(GOOD))
    assert [letter["body"] for letter in dead_letters(stack.services)] == [b"bad"]
    assert "failed" not in stack.log()


def test_a_batch_that_no_place_takes_keeps_its_checkpoint(stack: LocalStack) -> None:
    """While the function raises, the same events come again and the checkpoint stays; the log says which they are."""
    passed = stack.checkpoints()
    down = {"match": {"operation": ["batch", "query"]}, "action": {"status": 503}}
    with stack.gateway.faults(down):
        for relay in stack.relays:
            relay.shut()
        try:
            stack.send([flight(GOOD), flight(GOOD + 1)])
            wait_until(lambda: stack.log().count("failed: NoPlaceAnswersError") >= 2, 120, "two failed tries")
            assert stack.checkpoints() == passed
        finally:
            for relay in stack.relays:
                relay.open()
    stack.wait_drained()
    assert {each["event"]["flight"] for each in documents(stack.services)} >= {GOOD, GOOD + 1}
    assert "sequence numbers" in stack.log()
