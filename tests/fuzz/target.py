"""What one input of the fuzzer means: its first byte says what it is, its second what goes wrong with it.

| first byte | the rest is |
|---|---|
| o, a, r | the body of an event: one object, an array, `records` |
| z | the same, an object, packed by gzip |
| m | a message of the retry queue |
| p | a message of the poison queue, as text |
"""

from __future__ import annotations

import asyncio
import base64
import gzip

from tests.fuzz import trial

KINDS = b"oarzmp"
_UNWRAP = {b"o": "object", b"a": "array", b"r": "records", b"z": "object"}


class Target:
    """Judges inputs one after the other, in one event loop."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __call__(self, data: bytes) -> None:
        """Judge one input.

        Raises:
            BrokenPromiseError: see `tests.fuzz.trial`; any other exception is a broken promise as well.
        """
        if len(data) < 2:
            return
        kind = data[:1] if data[0] in KINDS else KINDS[data[0] % len(KINDS) :][:1]
        how, rest = data[1], data[2:]
        if kind == b"m":
            self._runner.run(trial.message(rest, dequeue_count=how % 8 + 1))
        elif kind == b"p":
            text = base64.b64encode(rest).decode() if how % 2 else rest.decode("latin-1")
            self._runner.run(trial.poison(text))
        else:
            refusing = [part for bit, part in enumerate(trial.PARTS) if how >> bit & 1]
            body = gzip.compress(rest, 1, mtime=0) if kind == b"z" else rest
            self._runner.run(trial.batch([body], unwrap=_UNWRAP[kind], refusing=refusing))

    def close(self) -> None:
        """End the event loop."""
        self._runner.close()
