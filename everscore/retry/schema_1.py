"""Messages, dead letters and claim checks as schema 1 wrote them, in JSON: read for ever, never written."""

from __future__ import annotations

import msgspec

from everscore.event.item import Braked, Item, Step


class _Item1(Item):
    """That it was braked was a yes or no."""

    braked: bool = False  # type: ignore[assignment]


class _Shared(msgspec.Struct, frozen=True, rename="camel"):
    """What most items of an envelope said alike: it holds for each that says nothing of its own."""

    stage: str | None = None
    reason: str | None = None
    exception: str | None = None
    failure_class: str | None = None
    first_failed_at: str | None = None
    traceparent: str | None = None
    history: list[Step] | None = None


class _Envelope1(msgspec.Struct):
    items: list[_Item1]
    shared: _Shared = _Shared()


class _DeadLetter1(msgspec.Struct, rename="camel"):
    item: _Item1
    failed_at: str


_envelope_decoder = msgspec.json.Decoder(_Envelope1)
_item_decoder = msgspec.json.Decoder(_Item1)
_letter_decoder = msgspec.json.Decoder(_DeadLetter1)


def read_envelope(message: bytes) -> list[Item]:
    """The items of a message.

    Raises:
        msgspec.DecodeError: it is none of schema 1; so do the others of this module.
    """
    envelope = _envelope_decoder.decode(message)
    for name, said in msgspec.structs.asdict(envelope.shared).items():
        for item in envelope.items if said is not None else ():
            if getattr(item, name) in (None, []):
                setattr(item, name, list(said) if isinstance(said, list) else said)
    return [_lifted(item) for item in envelope.items]


def read_claim_check(data: bytes) -> Item:
    """The item of a claim-check blob, which held all of it and no schema number."""
    return _lifted(_item_decoder.decode(data))


def read_dead_letter(blob: bytes) -> tuple[Item, str]:
    """The item of a dead letter, and when it was written."""
    letter = _letter_decoder.decode(blob)
    return _lifted(letter.item), letter.failed_at


def _lifted(written: _Item1) -> Item:
    """An item as it is now: one that was braked has been so since it entered the queue."""
    since = Braked(at=written.queued_at or "", configuration="")
    return Item(**{**msgspec.structs.asdict(written), "braked": since if written.braked else None})
