"""What a batch came to, by bodies, and which of its failures wait, lest the configuration be at fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from everscore.clock import backoff, times
from everscore.event.event import Event
from everscore.event.item import Braked, Item
from everscore.failures import Permanent, Stage, Unexpected
from everscore.flow.ending import queued_at
from everscore.flow.limits import Patience
from everscore.watch.judging import State, Tally, Verdict, judge, kind_of, lets_go
from everscore.watch.verdicts import Verdicts


def tally_of(events: Sequence[Event]) -> Tally:
    """What the bodies came to whose first record is among some events of the hub.

    One of many records has failed where most of them did, alike; what is cut in two counts by its beginning.

    Args:
        events: in the order of bodies and records.
    """
    bodies = len([None for event in events if event.item.source.index == 0])
    scored = any(event.item.scores and not is_counted(event) for event in events)
    if not in_doubt(events):
        return Tally(bodies=bodies, scored=scored)
    failed: Counter[str] = Counter()
    for records in _by_body(events):
        kinds = Counter(kind_of(event.failure) for event in records if event.failure and is_counted(event))
        for kind, count in kinds.most_common(1):
            failed[kind] += count * 2 > len(records)
    return Tally(bodies=bodies, scored=scored, failed=dict(+failed))


def is_counted(event: Event) -> bool:
    """Whether an event failed in a way for which the configuration may be to blame."""
    return isinstance(event.failure, (Permanent, Unexpected))


def in_doubt(events: Sequence[Event]) -> list[Event]:
    """The events that failed so."""
    # None is looked for here as well: a call for each healthy event would be most of what the brake costs.
    return [event for event in events if event.failure is not None and is_counted(event)]


def _by_body(events: Sequence[Event]) -> list[list[Event]]:
    """The events of each body that begins among them."""
    bodies: list[list[Event]] = []
    for event in events:
        if event.item.source.index == 0:
            bodies.append([])
        if bodies:
            bodies[-1].append(event)
    return bodies


def to_wait(events: Sequence[Event], batch: Tally, verdict: Verdict) -> list[Event]:
    """The failed events of a batch that wait, braked, in the retry queue.

    That is whatever would be a dead letter at once, unless the configuration is held to be well. A batch of
    which most failed alike waits even then: its own worker may be the first to see it, and if it is the only
    one the events are let go by the next verdict.
    """
    state = verdict.state
    if state is State.WELL and judge(batch, proven=True, before=State.WELL) is not State.BRAKED:
        return []
    # What nobody foresaw would be tried twice more; under a configuration that is braked it is left alone.
    # No configuration is to blame for what the store answers: that is tried on, and may well pass.
    return [
        event
        for event in events
        if isinstance(event.failure, Permanent)
        or (
            isinstance(event.failure, Unexpected)
            and state is State.BRAKED
            and event.failure.stage is not Stage.STORE
        )
    ]


def brake(item: Item, configuration: str, stamp: str) -> None:
    """Have an item wait; one that already waits because of this configuration has done so since then."""
    if item.braked is None or item.braked.configuration != configuration:
        item.braked = Braked(at=stamp, configuration=configuration)


class Brake:
    """What ``retry_events`` does with events that wait, or might have to, because of the configuration.

    Args:
        verdicts: on the configuration of this process.
        patience: for how long an event waits.
    """

    def __init__(self, verdicts: Verdicts, patience: Patience) -> None:
        self._verdicts = verdicts
        self._patience = patience.brake
        # For so long, at most, instances of two configurations run side by side while a deployment goes out.
        self._overlap = patience.unexpected

    async def waiting(self, items: Sequence[Item]) -> list[Item]:
        """Those that go on waiting: nothing has changed for them yet, and their time is not over."""
        braked = [item for item in items if self._is_mine(item)]
        if not braked:
            return []
        verdict = await self._verdicts.get()
        now = times.now()
        return [
            item
            for item in braked
            if not self._has_waited(item, now) and not lets_go(verdict, _braked_at(item, now), now)
        ]

    def is_on(self, item: Item) -> bool:
        """Whether an item waits because of the present configuration, its time not over."""
        return self._is_mine(item) and not self._has_waited(item, times.now())

    def look_again(self, item: Item, luck: float) -> float:
        """Seconds until an item that waits is looked at again, at the end of its time at the latest."""
        now = times.now()
        waited = now - _braked_at(item, now)
        left = max(1.0, (self._patience - waited).total_seconds())
        return min(backoff.look(waited, luck), left)

    def let_go(self, item: Item) -> None:
        """Prepare an item, body and all, that waits no longer.

        What another configuration made of it is dropped: it was wrong, and the item begins with its decoding.
        That another has braked it stays known until it is judged, see `holds`.
        """
        if item.braked is None:
            return
        if not self._is_mine(item):
            item.id = item.pk = item.time = item.scores = item.unscored = None
            item.unexpected = 0
        elif self.is_on(item):
            item.braked = None

    def forget_others(self, item: Item) -> None:
        """An item that failed in another way begins anew: what another configuration held of it is over."""
        if item.braked is not None and not self._is_mine(item):
            item.braked = None

    async def holds(self, item: Item) -> bool:
        """Whether an item waits, braked, in place of becoming a dead letter now.

        What another configuration has braked a moment ago waits for longer even if this one is well: while a
        deployment goes out, instances of the old configuration still meet what those of the new one braked.
        """
        now = times.now()
        if self._patience <= timedelta(0) or self._has_waited(item, now):
            item.braked = None
            return False
        verdict = await self._verdicts.get()
        if verdict is not None and verdict.state is State.WELL:
            is_of_another = item.braked is not None and not self._is_mine(item)
            if is_of_another and now - _braked_at(item, now) < self._overlap:
                return True
            item.braked = None
            return False
        # Since the verdict that it obeys: one that was written a moment ago, and is not read yet, lets it go.
        stamp = times.milliseconds_text(min(now, self._verdicts.read_at))
        brake(item, self._verdicts.configuration, stamp)
        return True

    def _is_mine(self, item: Item) -> bool:
        return item.braked is not None and item.braked.configuration == self._verdicts.configuration

    def _has_waited(self, item: Item, now: datetime) -> bool:
        return self._is_mine(item) and now - _braked_at(item, now) >= self._patience


def _braked_at(item: Item, now: datetime) -> datetime:
    """Since when an item waits; where that cannot be read, since it entered the queue."""
    try:
        return min(times.parse(item.braked.at), now) if item.braked else now
    except ValueError:
        return queued_at(item, now)
