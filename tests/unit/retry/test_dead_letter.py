"""Dead letters: what their blobs and their headers hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everscore.retry.dead_letter import ascii_text


@given(st.text(st.characters(), max_size=600))
def test_ascii_texts_are_printable_and_short(text) -> None:
    """Whatever the text, a header takes what becomes of it."""
    made = ascii_text(text)
    assert made.isascii()
    assert not made or made.isprintable()
    assert len(made) <= 256
    assert made == made.strip()
