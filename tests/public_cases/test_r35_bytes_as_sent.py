r"""R35: 413 for a document whose text is well under 2 MB.

Condition: CJK or emoji text, which \uXXXX doubles.
Right: text goes out as UTF-8, the bytes as sent are measured, and what is over the limit is permanent: a dead letter.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from everscore.event.item import Item
from everscore.flow.score_events import RetryState
from everscore.store import documents as sizes
from tests.fakes import source_of
from tests.support.flights import flight
from tests.support.read_back import dead_letters, documents, queued
from tests.support.services import Services

# aiohttp's advice to stream what is over 1 MB; the SDK does not, and the warning is silent outside of tests.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


def item(number: int, text: str) -> Item:
    """A flight with a long text."""
    body = json.dumps(flight(number, text=text), ensure_ascii=False).encode()
    return Item(body=body, source=source_of(number))


async def test_text_that_fits_as_utf_8_is_stored(app: Any, services: Services) -> None:
    """400,000 CJK characters, 1.2 MB as UTF-8 and 2.4 MB escaped, are stored; twice as many are a dead letter."""
    before = services.gateway.requests("batch")
    summary = await app.pipeline.score_events(
        [item(1, "漢" * 400_000), item(2, "漢" * 800_000), item(3, "short")], RetryState(endless=True)
    )
    assert (summary.stored, summary.dead_lettered, summary.queued) == (2, 1, 0)
    assert {each["event"]["flight"]: len(each["event"]["text"]) for each in documents(services)} == {
        1: 400_000,
        3: 5,
    }
    (letter,) = dead_letters(services)
    assert letter["item"]["reason"] == "document too large"
    assert letter["body"] == item(2, "漢" * 800_000).body
    # Never sent: the rest was written without a refusal.
    assert services.gateway.requests("batch") - before <= 2
    assert queued(services) == 0


async def test_the_measure_is_of_the_bytes_as_they_are_sent(app: Any, services: Services) -> None:
    """What our measure takes to be just below the limit, the service takes as well."""
    (found,) = [await _stored(app, services, 1, "")]
    own = {name: value for name, value in found.items() if not name.startswith("_")}
    room = sizes.ITEM_LIMIT - 2_048 - sizes.size(own)
    text = "😀漢é" * (room // 9)
    await _stored(app, services, 2, text)
    assert dead_letters(services) == []


async def _stored(app: Any, services: Services, number: int, text: str) -> dict[str, Any]:
    summary = await app.pipeline.score_events([item(number, text)], RetryState(endless=True))
    assert summary.stored == 1, summary
    return next(each for each in documents(services) if each["event"]["flight"] == number)
