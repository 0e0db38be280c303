"""The tokens of texts as scikit-learn's CountVectorizer and TfidfVectorizer make them, joined to one text.

The exporter writes this file as a model's features.py, with `TEXTS` at its end, since a graph cannot do it:
its lower-casing needs a locale of the operating system, and its patterns know no letters but ASCII's. Nothing
here depends on the machine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

SEPARATOR = "\x1f"
"""What the graph splits at; a token that holds it has `ESCAPE` instead, and is then in no vocabulary."""
ESCAPE = "\x1e"

_SPACES = re.compile(r"\s\s+")


class Analysis(NamedTuple):
    """How a text becomes tokens: the vectorizer's parameters of the same names."""

    analyzer: str
    lowercase: bool
    strip_accents: str | None
    token_pattern: str
    ngram_range: tuple[int, int]
    stop_words: frozenset[str]


TEXTS: dict[str, tuple[Analysis, ...]] = {}
"""By column, how it is made into tokens: once for each vectorizer that takes it."""


def features(columns: dict[str, Any]) -> dict[str, Any]:
    """The same columns, the texts of `TEXTS` as tokens."""
    made = dict(columns)
    for name, analyses in TEXTS.items():
        found = [joined(text, analyses) for text in columns[name]]
        made[name] = np.array(found, dtype=object)
    return made


def joined(text: str, analyses: Sequence[Analysis]) -> str:
    """The tokens of a text; where there are several vectorizers, each token with the number of its own."""
    found: list[str] = []
    for number, analysis in enumerate(analyses):
        prefix = prefix_of(number, len(analyses))
        found += [prefix + each.replace(SEPARATOR, ESCAPE) for each in tokens(text, analysis)]
    return SEPARATOR.join(found)


def prefix_of(number: int, count: int) -> str:
    """What begins the tokens of one of several vectorizers."""
    return f"{number}{ESCAPE}" if count > 1 else ""


def tokens(text: str, analysis: Analysis) -> list[str]:
    """The tokens, and sequences of them, of one text."""
    if analysis.lowercase:
        text = text.lower()
    if analysis.strip_accents is not None and not text.isascii():
        apart = unicodedata.normalize("NFKD", text)
        if analysis.strip_accents == "ascii":
            text = apart.encode("ascii", "ignore").decode("ascii")
        else:
            text = "".join(each for each in apart if not unicodedata.combining(each))
    if analysis.analyzer == "word":
        words = re.compile(analysis.token_pattern).findall(text)
        return _sequences([each for each in words if each not in analysis.stop_words], analysis.ngram_range)
    text = _SPACES.sub(" ", text)
    if analysis.analyzer == "char":
        return _pieces(text, analysis.ngram_range)
    least, most = analysis.ngram_range
    found: list[str] = []
    for word in text.split():
        padded = f" {word} "
        for length in range(least, most + 1):
            found += _pieces(padded, (length, length)) or [padded]
            if length >= len(padded):  # a short word counts once
                break
    return found


def _sequences(words: list[str], ngram_range: tuple[int, int]) -> list[str]:
    least, most = ngram_range
    if most == 1:
        return words
    return [
        " ".join(words[start : start + length])
        for length in range(least, most + 1)
        for start in range(len(words) - length + 1)
    ]


def _pieces(text: str, ngram_range: tuple[int, int]) -> list[str]:
    least, most = ngram_range
    return [
        text[start : start + length]
        for length in range(least, most + 1)
        for start in range(len(text) - length + 1)
    ]
