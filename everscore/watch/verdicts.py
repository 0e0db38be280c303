"""Verdicts on configurations, as blobs: the workers of ``score_events`` write them, ``retry_events`` obeys.

All workers write to one document a configuration, each to an entry of its own. A write carries the ETag of
what it was made from: where another was faster, it is made anew from that.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from contextvars import Context
from datetime import datetime

import msgspec

from everscore.clock import times
from everscore.failures import Configuration, Conflict, Stage, describe
from everscore.ports import VerdictBlobs
from everscore.watch.judging import Tally, Verdict, Window, added, judged

logger = logging.getLogger(__name__)

# What others say is asked for this often at most, by readers and writers alike.
FRESH_SECONDS = 10.0
# Said anew in this time, changed or not: far sooner than a life-cycle rule could take it away, and while the
# other workers still take this one's word as one of late.
REMIND_SECONDS = 300.0
# For one reading or writing: no batch waits longer for what is only a verdict.
_PATIENCE_SECONDS = 10.0
# Writers that meet; the one left over writes with its next batch.
_ROUNDS = 5


def decode_verdict(data: bytes) -> Verdict:
    """Read a verdict's blob.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.json.decode(data, type=Verdict)


class Judge:
    """The verdict on this process's configuration, as one worker of ``score_events`` sees and writes it.

    Args:
        blobs: where it is written.
        configuration: its hash.
        interval: seconds between writes of what is no news.
        fresh: seconds for which what other workers said is not asked for again.
    """

    def __init__(
        self, blobs: VerdictBlobs, configuration: str, *, interval: float, fresh: float = FRESH_SECONDS
    ) -> None:
        self._blobs = blobs
        self._configuration = configuration
        self._interval = interval
        self._fresh = fresh
        self._worker = uuid.uuid4().hex[:12]
        self._window = Window()
        self._now = Verdict(configuration=configuration)
        self._said: Verdict | None = None
        self._said_at = self._asked_at = self._quiet_until = float("-inf")
        self._waiting = 0
        self._lock = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None

    @property
    def configuration(self) -> str:
        """The hash."""
        return self._configuration

    async def weigh(self, batch: Tally, *, again: bool, in_doubt: bool) -> Verdict:
        """The verdict with a batch in it.

        Args:
            batch: what its bodies came to.
            again: they were counted before.
            in_doubt: it matters for the batch, so that what other workers say is asked for.
        """
        if not again:
            self._window.add(batch)
        if in_doubt and time.monotonic() - self._asked_at > self._fresh:
            await self._ask()
        if again and batch.scored:
            self._now = msgspec.structs.replace(self._now, proven=True)
        before = self._now
        self._now = judged(before, self._worker, self._window.total, times.now())
        return self._now

    def sent_to_wait(self, events: int) -> None:
        """Events wait that would have become dead letters."""
        self._waiting += events

    async def write(self) -> None:
        """Publish the verdict where it is news, or due.

        Where that fails it is tried again by the next batch, and by itself, since none may come: what waits
        for the verdict would wait for the end of BRAKE_HOURS.
        """
        async with self._lock:  # one of the batches that run side by side writes for all
            now = time.monotonic()
            if now < self._quiet_until or not self._is_due(now):
                return
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._write()
            except Exception as error:  # noqa: BLE001 - what waits goes on waiting until it is written
                logger.warning("The verdict on the configuration could not be written: %s", describe(error))
                self._quiet_until = time.monotonic() + _PATIENCE_SECONDS
                if self._later is None or self._later.done():
                    # Not in this invocation's context, whose deadline cuts every request short.
                    self._later = asyncio.create_task(self._write_later(), context=Context())

    async def _write_later(self) -> None:
        """Try until it is written; the loop's end ends it."""
        while self._is_due(time.monotonic()):
            await asyncio.sleep(_PATIENCE_SECONDS)
            await self.write()

    def _is_due(self, now: float) -> bool:
        if not self._now.at:
            return False  # nothing was judged yet
        said, since = self._said, now - self._said_at
        if said is None or said.state is not self._now.state or since >= REMIND_SECONDS:
            return True
        is_news = self._waiting or self._met(self._now) != self._met(said)
        return bool(is_news) and since >= self._interval

    def _met(self, verdict: Verdict) -> Tally | None:
        own = verdict.workers.get(self._worker)
        return own and added([own])

    async def _write(self) -> None:
        for _ in range(_ROUNDS):
            verdict, etag = await self._read()
            waiting = self._waiting
            verdict = judged(verdict, self._worker, self._window.total, times.now())
            if verdict.failing_since is not None:
                verdict = msgspec.structs.replace(verdict, waiting=verdict.waiting + waiting)
            try:
                await self._blobs.put_verdict(self._configuration, msgspec.json.encode(verdict), etag)
            except Conflict:
                continue
            self._now = self._said = verdict
            self._said_at = self._asked_at = time.monotonic()
            self._waiting -= waiting
            return
        raise Conflict(Stage.RETRY, "changed meanwhile", "other workers write at the same time")

    async def _ask(self) -> None:
        """Take over what other workers say."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                self._now, _ = await self._read()
        except Exception as error:  # noqa: BLE001 - judged by what this worker met itself
            logger.warning("The verdict on the configuration could not be read: %s", describe(error))
        self._asked_at = time.monotonic()

    async def _read(self) -> tuple[Verdict, str | None]:
        found = await self._blobs.get_verdict(self._configuration)
        if found is None:
            return self._now, None
        try:
            verdict = decode_verdict(found.data)
        except msgspec.DecodeError as error:
            logger.warning("The verdict on the configuration is written anew: %s", error)
            return self._now, found.etag
        # What a batch that came again has proven is in no window, and would be forgotten here.
        return msgspec.structs.replace(verdict, proven=verdict.proven or self._now.proven), found.etag


class Verdicts:
    """The verdict on this process's configuration, for those who obey it.

    Args:
        blobs: where it is read.
        configuration: its hash.
        fresh: seconds for which it is not read again.
    """

    def __init__(self, blobs: VerdictBlobs, configuration: str, *, fresh: float = FRESH_SECONDS) -> None:
        self._blobs = blobs
        self._configuration = configuration
        self._fresh = fresh
        self._verdict: Verdict | None = None
        self._asked_at = float("-inf")
        self._read_at = times.now()
        self._lock = asyncio.Lock()

    @property
    def configuration(self) -> str:
        """The hash."""
        return self._configuration

    @property
    def read_at(self) -> datetime:
        """When `get` last read: what was written later, it does not know yet."""
        return self._read_at

    async def get(self) -> Verdict | None:
        """The verdict, as it was read of late; None where it is out of reach: then what fails waits."""
        async with self._lock:  # one reading serves all messages that ask at once
            if time.monotonic() - self._asked_at >= self._fresh:
                self._read_at = times.now()
                try:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        self._verdict = await read_verdict(self._blobs, self._configuration)
                except Exception as error:  # noqa: BLE001 - unknown, for 10 seconds
                    logger.warning("The verdict on the configuration could not be read: %s", describe(error))
                    self._verdict = None
                self._asked_at = time.monotonic()
            return self._verdict


async def read_verdict(blobs: VerdictBlobs, configuration: str) -> Verdict:
    """What is held of a configuration; one of which nothing was said yet is unproven.

    Raises:
        Failure: the verdict is out of reach, or none that this release can read.
    """
    found = await blobs.get_verdict(configuration)
    if found is None:
        return Verdict(configuration=configuration)
    try:
        return decode_verdict(found.data)
    except msgspec.DecodeError as error:
        detail = f"score_events writes it anew with its next batch: {error}"
        raise Configuration(Stage.RETRY, "verdict unreadable", detail) from error
