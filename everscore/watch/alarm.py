"""Says that a configuration seems to be at fault, for as long as it does."""

from __future__ import annotations

import logging
import time

from everscore.clock import times
from everscore.watch.judging import State, Verdict, alarms, sentence_of
from everscore.watch.telemetry import Recorder

logger = logging.getLogger(__name__)

_REMIND_SECONDS = 600.0


class Alarm:
    """Counts each time in a metric, from which the alert is made, and logs news at once, the rest seldom.

    Args:
        recorder: takes the metric.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._told: tuple[State, str | None] | None = None
        self._told_at = 0.0

    def look_at(self, verdict: Verdict) -> None:
        """Raise the alarm where the verdict asks for it."""
        if not alarms(verdict, times.now()):
            self._told = None
            return
        self._recorder.braked(verdict.kind or "nothing was scored")
        news, now = (verdict.state, verdict.kind), time.monotonic()
        if news != self._told or now - self._told_at >= _REMIND_SECONDS:
            self._told, self._told_at = news, now
            logger.critical("Brake: %s.", sentence_of(verdict))
