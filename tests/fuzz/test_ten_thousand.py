"""10,000 generated inputs, each among good neighbours: what no input may bring about."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec
import pytest

from everscore.clock.deadline import Deadline
from everscore.decode.decoder import Decoder, Reading
from everscore.decode.memory import Share
from everscore.event.event import Event
from everscore.event.item import Braked, Item
from everscore.retry.envelope import encode_envelope, encode_item
from tests.fakes import ago, item_of
from tests.fuzz import inputs, trial
from tests.support.flights import real_flights

SEED = 20_261_125
INPUTS = 10_000
BATCH = 250


def run(bodies: list[bytes], **how: Any) -> trial.Ends:
    """Bodies in batches; all their ends together."""

    async def all_batches() -> trial.Ends:
        total = trial.Ends()
        for start in range(0, len(bodies), BATCH):
            ends = await trial.batch(bodies[start : start + BATCH], every=10, **how)
            total.stored += ends.stored
            total.superseded += ends.superseded
            total.dead_lettered += ends.dead_lettered
            total.reasons += ends.reasons
        return total

    return asyncio.run(all_batches())


def test_ten_thousand_inputs_harm_no_neighbour() -> None:
    """No exception, no neighbour harmed, nothing tried again, and each event stored, superseded or a dead letter."""
    ends = run(inputs.bodies(SEED, INPUTS, real_flights(500)))
    # That the inputs are worth the name: they end in every way, for many reasons.
    assert ends.stored > 1_000 + INPUTS // 10
    assert ends.superseded > 10
    assert ends.dead_lettered > INPUTS // 2
    assert len(ends.reasons) >= 20


@pytest.mark.parametrize("unwrap", ["array", "records"])
def test_records_of_one_body_harm_no_neighbour(unwrap: str) -> None:
    """The same of bodies that hold several records: each record has its own end, with its own bytes."""
    ends = run(inputs.wrapped(SEED, 1_000, real_flights(500), unwrap=unwrap), unwrap=unwrap)
    assert ends.stored > 100
    assert ends.dead_lettered > 200
    assert len(ends.reasons) >= 10


@pytest.mark.parametrize(
    "refusing", [("store",), ("letters",), ("store", "blobs"), ("queue", "store"), trial.PARTS]
)
def test_inputs_while_places_refuse(refusing: tuple[str, ...]) -> None:
    """While places refuse nothing is lost and nothing doubled; once they answer each event ends as it should."""
    bodies = inputs.bodies(SEED + 1, 1_000, real_flights(500))
    assert run(bodies, refusing=refusing) == run(bodies)


def test_broken_retry_messages_end() -> None:
    """What is in the retry queue or the poison queue ends, whatever was done to its bytes on the way."""
    items = [item_of(number, trial.neighbour(number)) for number in range(3)]
    items += [item_of(4, b"{"), Item(blob="items/none.json"), item_of(5, b"[]")]
    items[0].queued_at, items[1].braked, items[2].crashes = ago(days=1), Braked(ago(), "c"), 1
    items[4].dead_letter = True
    good = [encode_envelope([encode_item(item) for item in items]), encode_item(items[0])]
    good += [encode_envelope([encode_item(item)]) for item in items]
    # As release 1 wrote them: a piece exchanged in here leaves the rest readable.
    items[1].braked = None
    good += [msgspec.json.encode({"items": some, "schema": 1}) for some in (items, *([one] for one in items))]

    async def all_messages() -> None:
        for number, text in enumerate(inputs.broken(SEED, 1_500, good)):
            await trial.message(text, dequeue_count=number % 7 + 1)
            await trial.poison(base64.b64encode(text).decode() if number % 3 else text.decode("latin-1"))

    asyncio.run(all_messages())


@pytest.mark.parametrize("harm", ["raises", "drops", "changes"])
def test_harm_is_noticed(harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that raises, loses an event or changes its bytes breaks the verdict, so that it proves something."""
    decode = Decoder.decode_slice

    async def harmful(self: Decoder, reading: Reading, share: Share, until: Deadline) -> list[Event]:
        items = reading.left
        if harm == "raises" and any(item.body.startswith(b"[") for item in items):
            raise KeyError("records")
        if harm == "changes":
            for item in items:
                item.body = item.body.replace(b"hello", b"HELLO")
        found = await decode(self, reading, share, until)
        return [each for each in found if harm != "drops" or each.payload or each.item.body != b"null"]

    monkeypatch.setattr(Decoder, "decode_slice", harmful)
    with pytest.raises((trial.BrokenPromiseError, KeyError)):
        run([b"hello", b"null", b"[]"])
