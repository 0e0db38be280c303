"""Which dead letters a command is about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from everscore.adapters.blobs import Letter, StorageBlobs
from everscore.clock import times
from everscore.retry.names import UNKNOWN


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter; what is None lets everything through.

    Attributes:
        since, until: of the hour of enqueuing that a letter's name begins with; until is exclusive.
        stage: exactly.
        reason: somewhere in it, in any case.
    """

    since: datetime | None = None
    until: datetime | None = None
    stage: str | None = None
    reason: str | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is wanted."""
        if self.stage is not None and letter.stage != self.stage:
            return False
        if self.reason is not None and self.reason.lower() not in letter.reason.lower():
            return False
        if self.since is None and self.until is None:
            return True
        moment = _moment(letter)
        if moment is None:
            return False
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    def prefixes(self) -> list[str]:
        """The parts of the container that must be listed: days, where the range is bounded and short.

        Letters without a time of enqueuing lie apart, and go by the time at which they were written.
        """
        if self.since is None:
            return [""]
        end = self.until or times.now()
        days = (end.date() - self.since.date()).days + 1
        if days > 62:
            return [""]
        begun = [f"{self.since.date() + timedelta(days=day):%Y/%m/%d}/" for day in range(max(days, 0))]
        return [*begun, UNKNOWN]


def _moment(letter: Letter) -> datetime | None:
    for text in (letter.enqueued_at, letter.failed_at):
        try:
            return times.parse(text)
        except ValueError:  # missing, or as some queue message had it
            continue
    return None


async def find(blobs: StorageBlobs, wanted: Wanted) -> AsyncIterator[Letter]:
    """The letters that a filter takes, oldest first."""
    for prefix in wanted.prefixes():
        async for letter in blobs.list_dead_letters(prefix):
            if wanted.takes(letter):
                yield letter
