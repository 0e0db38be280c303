"""The small status blob by which functions on other instances know how scoring and retrying fare."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from everscore.clock import times
from everscore.failures import Configuration, Failure, Stage, describe
from everscore.ports import Blobs
from everscore.watch.summary import Summary

logger = logging.getLogger(__name__)

# What happened last, on whatever instance: the field of its time, and the one of what it was.
_NEWS = (
    ("last_failure_at", "last_failure"),
    ("no_place_at", "no_place"),
)
# For how long what is over may still be held against a function: it says when no place answered, never that
# one does again.
_RECENT = timedelta(hours=1)


class StatusReport(msgspec.Struct, rename="camel", omit_defaults=True):
    """What one function last said of itself.

    Attributes:
        function: its name.
        at: when.
        configuration: hash of the one that it runs under, on which there is a verdict.
        retry_policy: whether the endless retry policy is in force; None for functions without one.
        received, stored, superseded, queued, dead_lettered, clock_ahead: since this instance started.
        last_failure: the most frequent reason of the last batch in which something failed.
        last_failure_at: when.
        no_place_at, no_place: when and for which events no destination answered.
        model_failure: why the model did not load; None where it did, or was not needed yet.
    """

    function: str
    at: str = ""
    configuration: str = ""
    retry_policy: bool | None = None
    received: int = 0
    stored: int = 0
    superseded: int = 0
    queued: int = 0
    dead_lettered: int = 0
    clock_ahead: int = 0
    last_failure: str | None = None
    last_failure_at: str | None = None
    no_place_at: str | None = None
    no_place: str | None = None
    model_failure: str | None = None


def decode_status(data: bytes) -> StatusReport:
    """Read a status blob.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.json.decode(data, type=StatusReport)


async def read_status(blobs: Blobs, function: str) -> StatusReport | None:
    """What a function last said of itself; None: nothing yet.

    Raises:
        Failure: its report is out of reach, or none that this release can read.
    """
    data = await blobs.get_status(function)
    try:
        return None if data is None else decode_status(data)
    except msgspec.DecodeError as error:
        raise Configuration(
            Stage.RETRY, "status unreadable", f"{function} writes it anew with its next batch: {error}"
        ) from error


def problems_of(report: StatusReport, now: datetime) -> list[Configuration]:
    """What a report shows to be wrong, the worst first; a held batch counts for an hour.

    A model that did not load counts until the function says otherwise: it does so with its next batch.
    """
    found: list[Configuration] = []
    since = times.milliseconds_text(now - _RECENT)
    if report.retry_policy is False:
        detail = (
            "score_events runs without its endless retry policy: restore @app.retry with max_retry_count -1"
        )
        found.append(Configuration(Stage.RETRY, "retry policy missing", detail))
    if report.model_failure:
        detail = f"at {report.at}: {report.model_failure}; its events wait in the retry queue"
        found.append(Configuration(Stage.SCORE, "the model does not load", detail))
    if report.no_place_at and report.no_place_at > since:
        detail = f"at {report.no_place_at} for {report.no_place}; the batch was held"
        found.append(Configuration(Stage.RETRY, "no destination answered", detail))
    return found


class Status:
    """Gathers one function's status and writes it, at most once in an interval, but for news.

    The first failure or held batch in an interval is written at once: there may be no next batch.
    Where that fails it is tried again after a quarter of the interval, and not by every call: blobs that do
    not answer cost each try their time-out, which the events of a batch need not wait for.

    Args:
        function: its name.
        blobs: where it is written.
        interval: seconds between writes.
        has_policy: whether this function should run under a retry policy.
        configuration: hash of the one that it runs under.
        model_failure: says why the model does not load, where it does not.
    """

    def __init__(
        self,
        function: str,
        blobs: Blobs,
        *,
        interval: float,
        has_policy: bool,
        configuration: str = "",
        model_failure: Callable[[], Failure | None] = lambda: None,
    ) -> None:
        self._report = StatusReport(
            function=function,
            configuration=configuration,
            retry_policy=True if has_policy else None,
        )
        self._model_failure = model_failure
        self._blobs = blobs
        self._interval = interval
        self._written_at: float | None = None
        self._quiet_until = 0.0
        self._untold: set[str] = set()
        self._told_at: dict[str, float] = {}

    def scored(self, summary: Summary) -> None:
        """Add a batch's counts."""
        report = self._report
        report.received += summary.received
        report.stored += summary.stored
        report.superseded += summary.superseded
        report.queued += summary.queued
        report.dead_lettered += summary.dead_lettered
        report.clock_ahead += summary.clock_ahead
        if summary.reasons:
            report.last_failure = summary.reasons.most_common(1)[0][0]
            report.last_failure_at = _stamp()
            self._untold.add("last_failure")
        failure = self._model_failure()
        text = None if failure is None else str(failure)
        if text != report.model_failure:
            report.model_failure = text
            self._untold.add("model_failure" if text else "model_loaded")

    def policy_missing(self) -> None:
        """No endless retry policy is in force: a batch that raises would be lost."""
        if self._report.retry_policy:
            logger.critical(
                "score_events runs without its endless retry policy (max_retry_count -1): a batch that no "
                "destination takes is held as long as possible, and then lost. Restore the policy."
            )
        self._report.retry_policy = False

    def no_place(self, where: str) -> None:
        """No place answered."""
        self._report.no_place_at, self._report.no_place = _stamp(), where
        self._untold.add("no_place")

    async def write(self) -> None:
        """Write the blob, unless that was done within the interval; a failure to is logged, nothing more."""
        now = time.monotonic()
        if now < self._quiet_until:
            return
        due = now - self._interval
        is_new = any(self._told_at.get(what, due) <= due for what in self._untold)
        if not is_new and self._written_at is not None and self._written_at > due:
            return
        # Marked as told before it is, since invocations run side by side; taken back where it was not.
        news = frozenset(self._untold)
        self._written_at = now
        self._told_at.update(dict.fromkeys(news, now))
        self._untold.clear()
        try:
            await self._take_over()
            self._report.at = _stamp()
            await self._blobs.put_status(self._report.function, msgspec.json.encode(self._report))
        except Exception as error:  # noqa: BLE001 - every event has its place by now: no report is worth a repeat
            logger.warning(
                "The status of %s could not be written: %s", self._report.function, describe(error)
            )
            self._quiet_until = time.monotonic() + self._interval / 4
            self._untold |= news
            for what in news:
                self._told_at.pop(what, None)

    async def _take_over(self) -> None:
        """Keep what another instance has reported later than this one: they all write to one blob."""
        data = await self._blobs.get_status(self._report.function)
        try:
            other = decode_status(data) if data else None
        except msgspec.DecodeError as error:
            logger.warning("The status of %s is written anew: %s", self._report.function, error)
            return
        for moment, what in _NEWS:
            if other is not None and (getattr(other, moment) or "") > (getattr(self._report, moment) or ""):
                setattr(self._report, moment, getattr(other, moment))
                setattr(self._report, what, getattr(other, what))


def _stamp() -> str:
    return times.milliseconds_text(times.now())
