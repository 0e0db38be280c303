"""Is it the data that is wrong, or the configuration? What bodies came to, and the verdict that follows.

Pure: nothing here reads a clock or a blob. Every worker of ``score_events`` counts the bodies that it met
under a configuration, and says so in one document a configuration; the verdict is taken over the sum.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from everscore.clock import times
from everscore.failures import Failure, Stage

# A verdict is about the last bodies of a configuration, however old they are, …
WINDOW_BODIES = 200
# … and at least about the last batches: a batch is of one partition, and one partition is not the stream.
WINDOW_BATCHES = 10
# Fewer bodies than these trip no brake: until then a configuration is on trial.
MINIMUM_BODIES = 20
# An unproven configuration that goes on failing is told of after this time, however few bodies it met.
ALARM_AFTER = timedelta(minutes=10)
# A verdict of well that is older than the moment in which an event was braked is held to be overtaken, for so
# long; had it been, a later one would have been written by then.
TRUSTED_AFTER = timedelta(minutes=10)
# Of workers: what the dead ones counted holds until the others have met enough.
_WORKER_AGE = timedelta(minutes=15)
_WORKERS = 64
_KINDS = 8

# What the model's own answer fails for; see everscore.score.outputs.
NOT_FINITE = f"{Stage.SCORE}: score not finite"
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(?:[.,]\d+)*")
_KIND_LIMIT = 200


class State(StrEnum):
    """What a configuration is held to be."""

    UNPROVEN = "unproven"
    BRAKED = "braked"
    WELL = "well"


class Tally(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What some bodies came to.

    Attributes:
        bodies: how many there were; one of many records counts once.
        scored: whether any of them was scored, and the store has not refused it for good.
        failed: how many failed for good, or as nobody foresaw, by the kind of their failure.
    """

    bodies: int = 0
    scored: bool = False
    failed: dict[str, int] = {}

    @property
    def commonest(self) -> tuple[str | None, int]:
        """The kind of failure that most have in common, and how many that are."""
        return max(self.failed.items(), key=lambda entry: entry[1], default=(None, 0))


class Worker(Tally, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One worker's window.

    Attributes:
        at: when it said so.
    """

    at: str


class Verdict(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What is held of a configuration, and why: the document ``configurations/<hash>.json``.

    Attributes:
        configuration: the hash.
        state: see `judge`.
        kind: the failure that most have in common, where there is one.
        since: when it came to be so.
        at: when it was last judged; a verdict says nothing of what failed later.
        proven: something was scored under it, at some time, by some worker.
        failing_since: when the first failed of those that wait; None where none waits.
        waiting: events that ``score_events`` has sent to wait since it was last well.
        workers: what each worker met, by a name of its own.
    """

    configuration: str
    schema: int = 1
    state: State = State.UNPROVEN
    kind: str | None = None
    since: str = ""
    at: str = ""
    proven: bool = False
    failing_since: str | None = None
    waiting: int = 0
    workers: dict[str, Worker] = {}

    @property
    def total(self) -> Tally:
        """What all workers met."""
        return added(self.workers.values())


class Window:
    """The last bodies that one worker met, by batches; the sum is kept, since it is asked for by each."""

    def __init__(self) -> None:
        self._batches: deque[Tally] = deque()
        self._bodies = 0
        self._scored = 0  # batches
        self._failed: Counter[str] = Counter()

    def add(self, batch: Tally) -> None:
        """A batch has come."""
        self._batches.append(batch)
        self._count(batch, 1)
        while len(self._batches) > WINDOW_BATCHES and self._bodies - self._batches[0].bodies >= WINDOW_BODIES:
            self._count(self._batches.popleft(), -1)

    def _count(self, batch: Tally, sign: int) -> None:
        self._bodies += sign * batch.bodies
        self._scored += sign * batch.scored
        for kind, count in batch.failed.items():
            self._failed[kind] += sign * count
            if not self._failed[kind]:
                del self._failed[kind]

    @property
    def total(self) -> Tally:
        """The sum."""
        return Tally(bodies=self._bodies, scored=self._scored > 0, failed=dict(self._failed))


def added(tallies: Iterable[Tally]) -> Tally:
    """The sum of some tallies."""
    bodies, scored, failed = 0, False, Counter[str]()
    for each in tallies:
        bodies += each.bodies
        scored = scored or each.scored
        failed.update(each.failed)
    return Tally(bodies=bodies, scored=scored, failed=dict(failed))


def kind_of(failure: Failure) -> str:
    """A failure's stage and reason, without the values in it: what differs in those alone is one kind."""
    return f"{failure.stage}: {_VALUES.sub('…', failure.reason)}"[:_KIND_LIMIT]


def judge(total: Tally, *, proven: bool, before: State) -> State:
    """The state of a configuration.

    - Braked: of 20 bodies or more, more than half failed alike, or every score was not finite.
    - Unproven: nothing was scored yet, or too few bodies came to tell a few bad ones from a mistake that hits
      most; see `is_small`. One that was well is unproven again where, of fewer than 20 bodies, two or more
      and over two fifths failed alike.
    - Well: all else. What is braked becomes so by the same proof, which near a half is hard to give: there,
      where a few bodies make the difference, all that waits would be let go time and again.

    Args:
        total: of all workers.
        proven: whether anything was ever scored under it.
        before: its state so far.
    """
    _, alike = total.commonest
    if total.bodies >= MINIMUM_BODIES:
        nothing_finite = not total.scored and NOT_FINITE in total.failed
        if alike * 2 > total.bodies or nothing_finite:
            return State.BRAKED
    if before is not State.WELL:
        return State.WELL if proven and is_small(alike, total.bodies) else before
    on_trial = total.bodies < MINIMUM_BODIES and alike > 1 and _is_many(alike, total.bodies)
    return State.WELL if proven and not on_trial else State.UNPROVEN


def is_small(alike: int, bodies: int) -> bool:
    """Whether those that failed alike are too few for a mistake that hits most of what comes.

    At most two fifths of the bodies failed, and so much less than half that a fair coin would show it once in
    several hundred times: by the square root of 8, 2.8 standard deviations. At 200 bodies both are one. 8
    bodies without a failure are enough, 12 with one, 15 with two, 50 with 30 %. Without that a mistake that
    hits 60 % would make three dead letters on average before it shows, where events come one by one.
    """
    return not _is_many(alike, bodies) and (bodies - 2 * alike) ** 2 >= 8 * bodies


def _is_many(alike: int, bodies: int) -> bool:
    return alike * 5 > bodies * 2


def judged(verdict: Verdict, worker: str, own: Tally, now: datetime) -> Verdict:
    """The verdict after a worker has counted.

    Args:
        verdict: so far, of this worker or of another.
        worker: its name; what it said before is replaced.
        own: its window.
        now: the present.
    """
    at = times.milliseconds_text(now)
    workers = dict(verdict.workers)
    if own.bodies:
        commonest = dict(Counter(own.failed).most_common(_KINDS))
        workers[worker] = Worker(at=at, bodies=own.bodies, scored=own.scored, failed=commonest)
    workers = _heard(workers, now)
    total = added(workers.values())
    proven = verdict.proven or total.scored
    state = judge(total, proven=proven, before=verdict.state)
    kind, _ = total.commonest
    waits = state is not State.WELL and bool(total.failed)
    return msgspec.structs.replace(
        verdict,
        state=state,
        kind=kind if waits else None,
        since=verdict.since if verdict.since and state is verdict.state else at,
        at=at,
        proven=proven,
        failing_since=(verdict.failing_since or at) if waits else None,
        waiting=verdict.waiting if waits else 0,
        workers=workers,
    )


def _heard(workers: Mapping[str, Worker], now: datetime) -> dict[str, Worker]:
    """The workers that count: those of late, and older ones until enough bodies are together."""
    late = times.milliseconds_text(now - _WORKER_AGE)
    kept: dict[str, Worker] = {}
    bodies = 0
    for name in sorted(workers, key=lambda name: workers[name].at, reverse=True)[:_WORKERS]:
        if bodies >= WINDOW_BODIES and workers[name].at < late:
            break
        kept[name] = workers[name]
        bodies += workers[name].bodies
    return kept


def lets_go(verdict: Verdict | None, braked_at: datetime, now: datetime) -> bool:
    """Whether a verdict lets go what was braked under its configuration at that moment."""
    if verdict is None or verdict.state is not State.WELL:
        return False
    return verdict.at >= times.milliseconds_text(braked_at) or now - braked_at >= TRUSTED_AFTER


def alarms(verdict: Verdict, now: datetime) -> bool:
    """Whether somebody is to be told: braked; or unproven with the 20th failure, or for 10 minutes.

    A few bad events among the first ones of a configuration are no alarm: they only wait for more to come.
    """
    if verdict.state is State.BRAKED:
        return True
    if verdict.failing_since is None or _is_on_trial(verdict):
        return False
    return (
        sum(verdict.total.failed.values()) >= MINIMUM_BODIES
        or times.milliseconds_text(now - ALARM_AFTER) >= verdict.failing_since
    )


def _is_on_trial(verdict: Verdict) -> bool:
    """Whether all that a configuration lacks is a few more bodies."""
    _, alike = verdict.total.commonest
    is_proven = verdict.proven and not _is_many(alike, verdict.total.bodies)
    return verdict.state is State.UNPROVEN and is_proven


def sentence_of(verdict: Verdict) -> str:
    """A verdict in words, for a log, the health check and the command."""
    total = verdict.total
    kind, alike = total.commonest
    since = f" since {verdict.since}" if verdict.since else ""
    met = f"of the last {total.bodies} bodies {alike} failed alike ({kind})" if kind else "none failed"
    if verdict.state is State.WELL:
        return f"well{since}: {met}"
    why = met if verdict.proven else f"nothing was scored under it yet, {met}"
    said = f"configuration {verdict.configuration[:12]} is {verdict.state}{since}: {why}"
    if verdict.failing_since is None:
        return said
    if _is_on_trial(verdict):
        return f"{said}. What fails waits in the retry queue until a few more bodies tell whose fault it is"
    return (
        f"{said}. What fails waits in the retry queue for BRAKE_HOURS and becomes no dead letter meanwhile: "
        "correct stream.json, the model or the decoder, and restart the app"
    )
