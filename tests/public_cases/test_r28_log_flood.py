"""R28: a flood of log lines from the SDKs, and the bill for it.

Condition: the root logger at INFO, as the Functions worker has it, and one request log for each write.
Right: the SDKs' loggers are at WARNING, a batch costs at most a line, bodies are never logged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from everscore.event.item import Item
from everscore.flow.score_events import RetryState
from function_app import runtime
from tests.fakes import source_of
from tests.support.flights import bodies, flight
from tests.support.services import Services

BATCHES, SIZE = 4, 250
SECRET = "N-do-not-log-me"


class Lines(logging.Handler):
    """Keeps what is logged, as text."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.levelname} {record.name}: {record.getMessage()}")


@pytest.fixture
def lines() -> Iterator[Lines]:
    """All that gets past the levels with the root logger at INFO."""
    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


async def _score(app: Any, first: int, *extra: bytes) -> None:
    texts = [*bodies(*range(first, first + SIZE)), *extra]
    items = [Item(body=each, source=source_of(first + place)) for place, each in enumerate(texts)]
    await app.pipeline.score_events(items, RetryState(endless=True))


async def test_a_thousand_good_events_are_a_handful_of_lines(app: Any, lines: Lines) -> None:
    """Four batches of 250 stored events log at most one line a batch, and none is of an SDK."""
    await _score(app, 0)  # the start of the process has lines of its own
    lines.texts.clear()
    for number in range(BATCHES):
        await _score(app, SIZE * (number + 1))
    assert len(lines.texts) <= BATCHES, lines.texts
    assert [each for each in lines.texts if " azure" in each] == []


async def test_an_outage_costs_a_few_lines_a_batch(app: Any, lines: Lines, services: Services) -> None:
    """With the store down and bad events among them, lines go by batches and not by events; no body is in one."""
    await _score(app, 0)
    lines.texts.clear()
    with services.gateway.faults({"match": {"operation": ["batch", "query"]}, "action": {"status": 503}}):
        for number in range(2):
            await _score(app, SIZE * (number + 1), *[f'{{"id": "{SECRET}"'.encode()] * 10)
    assert 0 < len(lines.texts) <= 3 * 2, lines.texts
    assert [each for each in lines.texts if SECRET in each or flight()["tailnum"] in each] == []


def test_the_handler_would_see_a_flood(lines: Lines) -> None:
    """An INFO line of an SDK is counted where its level lets it through, so that the counts above mean something."""
    logger = logging.getLogger("azure.core.pipeline.policies.http_logging_policy")
    level = logger.level
    try:
        logger.setLevel(logging.INFO)
        logger.info("Request URL")
        assert len(lines.texts) == 1
    finally:
        logger.setLevel(level)
    assert runtime.logger.getEffectiveLevel() == logging.INFO
