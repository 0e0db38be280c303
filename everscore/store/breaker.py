"""A circuit breaker before the store: during an outage a batch costs one probe, not one time-out each."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from enum import StrEnum

from everscore.failures import Configuration, Failure, OutOfTime, PartitionTransient, Stage, Transient
from everscore.ports import Document, DocumentStore, Write, WriteRefusedError

logger = logging.getLogger(__name__)

# The first pause is short, since most faults are; it doubles with each failed probe.
_FIRST_PAUSE = 1.0


class State(StrEnum):
    """Of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakingStore:
    """A document store that stops asking while the one behind it does not answer.

    Only what stops every document counts: a store out of reach, a missing role or container. A throttled
    store is alive, and what is wrong with one document or partition says nothing of the others. What was cut
    short since our own time was used up says nothing at all, neither good nor bad.

    Args:
        store: the one behind.
        failures: in a row, after which the breaker opens.
        longest_pause: seconds between probes at most.
    """

    def __init__(self, store: DocumentStore, *, failures: int, longest_pause: float) -> None:
        self._store = store
        self._limit = failures
        self._longest_pause = longest_pause
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._open_until: float | None = None
        self._probing = False
        self._last: Failure | None = None

    @property
    def state(self) -> State:
        """Closed while the store answers; half-open while one request tries whether it does again."""
        if self._open_until is None:
            return State.CLOSED
        if self._probing or time.monotonic() >= self._open_until:
            return State.HALF_OPEN
        return State.OPEN

    @property
    def refuses(self) -> bool:
        """Whether a request would be refused now, unsent; for whoever has work to do before it asks.

        False once a probe is due: somebody must send one, or the breaker would never close.
        """
        return self._open_until is not None and (self._probing or time.monotonic() < self._open_until)

    async def write(self, pk: str, writes: Sequence[Write]) -> float:
        """See everscore.ports.DocumentStore."""
        try:
            probe = self._admit()
        except Failure as failure:
            raise WriteRefusedError(failure, None) from failure
        try:
            charge = await self._store.write(pk, writes)
        except WriteRefusedError as refused:
            # An index means that the service looked at the operations: it is there.
            self._saw(refused.failure if refused.index is None else None, probe=probe)
            raise
        else:
            self._saw(None, probe=probe)
            return charge
        finally:
            self._probing = self._probing and not probe

    async def read(self, pk: str, ids: Sequence[str]) -> dict[str, Document]:
        """See everscore.ports.DocumentStore."""
        probe = self._admit()
        try:
            found = await self._store.read(pk, ids)
        except Failure as failure:
            self._saw(failure, probe=probe)
            raise
        else:
            self._saw(None, probe=probe)
            return found
        finally:
            self._probing = self._probing and not probe

    def _admit(self) -> bool:
        """Let a request through, or not; returns whether it is the probe."""
        if self._open_until is None:
            return False
        if self.refuses:
            raise Transient(
                Stage.STORE,
                "store out of reach",
                f"not asked again before the next probe; last: {self._last}",
                retry_after=max(self._open_until - time.monotonic(), 0.0),
            )
        self._probing = True
        return True

    def _saw(self, failure: Failure | None, *, probe: bool) -> None:
        if isinstance(failure, OutOfTime):
            return
        if not isinstance(failure, Transient | Configuration) or isinstance(failure, PartitionTransient):
            if self._open_until is not None:
                logger.warning("The store answers again.")
            self._failures, self._pause, self._open_until, self._last = 0, _FIRST_PAUSE, None, None
            return
        self._last = failure
        self._failures += 1
        if isinstance(failure, Configuration) and self._failures == 1:
            # What the service itself says, at once: what follows from it may be long in coming.
            logger.error("The store turns the app away: %s", failure)
        if self._open_until is not None:
            if not probe:
                return  # sent before the breaker opened: only a probe moves the pause
            self._pause = min(self._pause * 2, self._longest_pause)
        elif self._failures < self._limit:
            return
        else:
            logger.error(
                "The store is out of reach; events go to the retry queue meanwhile. Last: %s", failure
            )
        self._open_until = time.monotonic() + self._pause
