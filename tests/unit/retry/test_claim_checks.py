"""Bodies that lie elsewhere, made whole again."""

from __future__ import annotations

import pytest

from everscore.event.item import Item
from everscore.event.scores import Scores
from everscore.failures import Permanent, Stage, Transient
from everscore.ports import HubEvent
from everscore.retry import claim_checks
from everscore.retry.claim_checks import (
    ClaimChecks,
    encode_body,
    encode_item,
    slim_pointer,
)
from tests.fakes import OUT, FakeBlobs, FakeHub, source_of

NAME = "items/x.json"


@pytest.fixture
def blobs() -> FakeBlobs:
    """Blobs without any in them."""
    return FakeBlobs()


@pytest.fixture
def hub() -> FakeHub:
    """A hub that holds nothing."""
    return FakeHub()


def pointer() -> Item:
    """An item whose body lies in a blob."""
    return Item(blob=NAME, source=source_of(1), attempts=3)


async def test_an_item_with_a_body_asks_nobody(blobs, hub) -> None:
    """What has its body comes back as it is, whatever is out of order."""
    blobs.refuses = hub.refuses = OUT
    item = Item(body=b"x")
    assert (await ClaimChecks(blobs, hub).redeem(item)).item is item


async def test_a_body_comes_from_its_blob(blobs, hub) -> None:
    """Blob and message are joined: the body from the one, the tries from the other."""
    blobs.claim_checks[NAME] = encode_item(Item(body=b"x", id="i", attempts=1))
    item = (await ClaimChecks(blobs, hub).redeem(pointer())).item
    assert (item.body, item.id, item.attempts, item.blob) == (b"x", "i", 3, None)


async def test_a_missing_blob_is_made_good_by_the_hub(blobs, hub) -> None:
    """The hub's event comes back with its properties, and points nowhere any more."""
    hub.events["0", 1] = HubEvent(b"x", {"key": "v"}, source_of(1))
    whole = pointer()
    whole.unwrapped, whole.record_index = True, 3
    item = (await ClaimChecks(blobs, hub).redeem(whole)).item
    assert (item.body, item.properties, item.blob) == (b"x", {"key": "v"}, None)
    assert (item.unwrapped, item.record_index) == (False, None), "it is the whole body, no record"


async def test_a_body_that_is_gone_everywhere_is_permanent(blobs, hub) -> None:
    """The reason is ``body expired``."""
    with pytest.raises(Permanent) as raised:
        await ClaimChecks(blobs, hub).redeem(pointer())
    assert raised.value.reason == "body expired"


@pytest.mark.parametrize("silent", ["blobs", "hub"])
async def test_silence_is_not_absence(blobs, hub, silent) -> None:
    """While blobs or hub do not answer, nothing is said to be gone."""
    (blobs if silent == "blobs" else hub).refuses = OUT
    with pytest.raises(Transient):
        await ClaimChecks(blobs, hub).redeem(pointer())


async def test_a_foreign_blob_is_permanent_with_its_bytes(blobs, hub) -> None:
    """What is no item of ours is kept byte for byte."""
    blobs.claim_checks[NAME] = b"words"
    item = pointer()
    with pytest.raises(Permanent) as raised:
        await ClaimChecks(blobs, hub).redeem(item)
    assert (raised.value.reason, item.body) == ("claim check unreadable", b"words")


def _scored() -> Item:
    """An item with all that stages make of an event, one of its models without scores."""
    scores = {"m": Scores(version="1", sha256="s", label=None, value=0.5, values={})}
    return Item(
        body=b"x",
        source=source_of(1),
        id="i",
        pk="p",
        time="t",
        scores=scores,
        unscored={"n": "score: not loaded"},
        traceparent="00-1",
    )


def _made(item: Item) -> tuple[object, ...]:
    return item.id, item.pk, item.time, item.scores, item.unscored, item.traceparent


async def test_what_models_without_scores_said_comes_back_with_the_scores(blobs, hub) -> None:
    """Scores are kept, so that no model is asked again: why one gave none is kept with them."""
    whole = _scored()
    blobs.claim_checks[NAME] = encode_body(whole)
    unread = claim_checks.pointer(whole, NAME, 1)
    assert _made((await ClaimChecks(blobs, hub).redeem(unread)).item) == _made(whole)


async def test_a_blob_that_once_did_not_answer_costs_nothing_that_stages_made(blobs, hub) -> None:
    """A pointer that says the least notes the failed try; identity and scores still are those of the blob."""
    whole = _scored()
    blobs.claim_checks[NAME] = encode_item(whole)
    unread = slim_pointer(whole, NAME, 1)
    unread.record(
        at="2026-11-25T10:11:12.000Z",
        stage=Stage.RETRY,
        reason="storage timed out",
        field=None,
        exception="no answer",
        failure_class="transient",
    )
    found = (await ClaimChecks(blobs, hub).redeem(unread)).item
    assert _made(found) == _made(whole)
    assert (found.reason, found.exception) == ("storage timed out", "no answer")


def test_each_field_of_an_item_has_its_place_in_pointer_or_blob() -> None:
    """A new field that neither carries would be lost with the first large body."""
    named = [*claim_checks._BODY, *claim_checks._FATE, *claim_checks._MADE, *claim_checks._TOLD]
    assert sorted([*named, "blob", "blob_size"]) == sorted(Item.__struct_fields__)
