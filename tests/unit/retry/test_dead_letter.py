"""Dead letters: what their blobs and their headers hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everscore.event.item import Item, Source
from everscore.retry.dead_letter import DeadLetter, ascii_text, metadata_of


@given(st.text(st.characters(), max_size=600))
def test_ascii_texts_are_printable_and_short(text) -> None:
    """Whatever the text, a header takes what becomes of it."""
    made = ascii_text(text)
    assert made.isascii()
    assert not made or made.isprintable()
    assert len(made) <= 256
    assert made == made.strip()


@given(st.text(st.characters(), max_size=300))
def test_every_header_of_a_letter_is_one(text) -> None:
    """Whatever a message says of its event, the headers of its letter can be sent."""
    item = Item(stage=text, reason=text, source=Source(enqueued_at=text))
    for value in metadata_of(DeadLetter(item=item, failed_at=text)).values():
        assert value
        assert value.isascii()
        assert value.isprintable()
