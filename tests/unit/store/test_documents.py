"""The stored document, and its size as the service counts it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from everscore.decode.decoder import Decoder
from everscore.event.item import Item
from everscore.event.scores import Scores
from everscore.failures import Stage
from everscore.store import documents
from tests.fakes import body_of, item_of, payload_of, stream_of

SCORES = {"toy": Scores("2", "abc", "late", 0.75, {"late": 0.75, "on time": 0.25})}


def document_of(item: Item) -> documents.Document:
    """The document of an item."""
    [event] = Decoder(stream_of()).decode([item])
    assert event.failure is None
    return documents.build(event, SCORES, "2026-11-25T11:00:00.000Z")


def test_the_document_has_the_pinned_fields() -> None:
    """Schema 2, field by field; what went straight through has no history."""
    item = item_of(1)
    item.traceparent = "00-trace"
    item.attempts = 2
    document = document_of(item)
    fingerprint = document.pop("fingerprint")
    assert len(fingerprint) == 64
    assert document == {
        "schema": 2,
        "id": "id-1",
        "pk": "p",
        "key": {"id": "id-1", "pk": ["p"]},
        "time": "2026-11-25T10:00:01.000000Z",
        "event": payload_of(1),
        "scores": {
            "toy": {
                "version": "2",
                "sha256": "abc",
                "label": "late",
                "value": 0.75,
                "values": {"late": 0.75, "on time": 0.25},
            }
        },
        "source": {
            "namespace": "ns",
            "hub": "events",
            "partition": "0",
            "sequenceNumber": 1,
            "offset": "100",
            "enqueuedAt": "2026-11-25T10:30:00.000Z",
            "index": 0,
        },
        "pipeline": {"storedAt": "2026-11-25T11:00:00.000Z", "attempts": 3, "traceparent": "00-trace"},
    }


def test_what_did_not_go_straight_through_says_why() -> None:
    """The last ten failures, oldest first, the last one included, each with the time at which it was met."""
    item = item_of(1)
    for number in range(12):
        item.record(
            at=f"t{number}",
            stage=Stage.STORE,
            reason=f"r{number}",
            field=None,
            exception="",
            failure_class="transient",
        )
    pipeline = document_of(item)["pipeline"]
    assert pipeline["firstFailedAt"] == "t0"
    assert pipeline["history"] == [
        {"at": f"t{number}", "stage": "store", "reason": f"r{number}"} for number in range(2, 12)
    ]


def test_it_lists_where_numbers_are_texts() -> None:
    """Integers that a double cannot hold are listed by pointer, so that a reader can undo it."""
    document = document_of(item_of(1, big=[1, 2**60]))
    assert document["event"]["big"] == [1, str(2**60)]
    assert document["pipeline"]["textNumbers"] == ["/big/1"]


def test_unknown_parts_of_a_source_are_null() -> None:
    """A document has the same fields whatever is known of its source."""
    assert set(document_of(Item(body=body_of(1)))["source"]) == set(document_of(item_of(1))["source"])


@given(st.dictionaries(st.text(max_size=5), st.text(st.characters(), max_size=30), max_size=4))
def test_the_size_is_that_of_the_bytes_sent(event) -> None:
    """Compact JSON in UTF-8; with a lone surrogate at least as much as is sent, never less."""
    document = {"event": event}
    sent = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
    if "\\ud" in json.dumps(document) and any(
        "\ud800" <= char <= "\udfff" for text in (*event, *event.values()) for char in text
    ):
        assert documents.size(document) >= len(sent)
    else:
        assert documents.size(document) == len(sent)


def test_the_limit_leaves_room_for_what_the_service_adds() -> None:
    """Somewhat under the documented 2 MB is the end."""
    assert not documents.too_large(2 * 1024 * 1024 - 2048)
    assert documents.too_large(2 * 1024 * 1024 - 2047)
