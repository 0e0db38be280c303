"""Ctrl-C and SIGTERM at moments when they must not come: put off, or ignored.

Signals reach Python code in the main thread only; elsewhere these do nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_KINDS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def put_off() -> Iterator[None]:
    """Let a signal that comes inside take effect at the end of the block.

    Python handlers, unlike blocked or ignored signals, are not inherited by a program started inside.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {kind: signal.signal(kind, lambda number, _frame: came.append(number)) for kind in _KINDS}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
    if came:
        signal.raise_signal(came[0])


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore signals while things are put in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {kind: signal.signal(kind, signal.SIG_IGN) for kind in _KINDS}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def end_like_ctrl_c() -> None:
    """From now on treat SIGTERM and a closed terminal as Ctrl-C, so that both stop things in order."""

    def interrupt(_number: int, _frame: object) -> None:
        # What a script starts in the background ignores Ctrl-C; that must not protect it from these.
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
