"""The tree of failures."""

from __future__ import annotations

import inspect

import pytest

from everscore import failures
from everscore.failures import (
    EverscoreError,
    Failure,
    FailureClass,
    Permanent,
    Retryable,
    Stage,
    Throttled,
    describe,
)

KINDS = [
    kind
    for _, kind in inspect.getmembers(failures, inspect.isclass)
    if issubclass(kind, Failure) and kind not in (Failure, Retryable)
]


def test_every_class_has_one_exception() -> None:
    """Each failure class is one exception, and each exception one class; a narrower kind keeps that of its own."""
    widest = [
        kind for kind in KINDS if not any(issubclass(kind, other) for other in KINDS if other is not kind)
    ]
    assert sorted(kind.failure_class for kind in widest) == sorted(FailureClass)
    for kind in KINDS:
        assert {other.failure_class for other in widest if issubclass(kind, other)} == {kind.failure_class}


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_is_permanent_or_retryable(kind) -> None:
    """Nothing is both, nothing is neither, and all are this project's own."""
    assert issubclass(kind, Permanent) is not issubclass(kind, Retryable)
    assert issubclass(kind, EverscoreError)


def test_a_failure_is_one_sentence() -> None:
    """Its text has stage, reason, field and detail, as far as they are known."""
    assert str(Permanent(Stage.DECODE, "not JSON")) == "decode: not JSON"
    assert str(Permanent(Stage.SCORE, "wrong", "a text", field="/a")) == "score: wrong [/a]: a text"


def test_the_drawing_names_every_class() -> None:
    """The tree on top of the module shows each exception that there is."""
    drawing = failures.__doc__ or ""
    for _, kind in inspect.getmembers(failures, inspect.isclass):
        if issubclass(kind, EverscoreError):
            assert kind.__name__ in drawing


@pytest.mark.parametrize("hint", [float("nan"), float("inf"), -1.0])
def test_what_is_no_wait_is_no_hint(hint) -> None:
    """A hint that a service or a proxy got wrong is none: nobody waits for ever, or in circles, because of it."""
    assert Throttled(Stage.STORE, "throttled", retry_after=hint).retry_after is None
    assert Throttled(Stage.STORE, "throttled", retry_after=0.25).retry_after == 0.25


def test_the_texts_of_a_failure_can_be_written_anywhere() -> None:
    """Lone surrogates in the name of a field, or in what own code says, keep no log, status or letter from
    being written.
    """
    failure = Permanent(Stage.DECODE, "reason \ud800", "detail \ud800", field="/\ud800")
    for text in (str(failure), failure.reason, failure.detail, failure.field, describe(ValueError("\ud800"))):
        assert "\\ud800" in (text or "")
        assert (text or "").encode()
