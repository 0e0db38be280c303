"""Which groups there are, and how one after the other is run."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tests.chaos import report
from tests.chaos.bench import HostGoneError, bench
from tests.chaos.groups import (
    bodies,
    configuration,
    guilty,
    malformed,
    messages,
    mixed,
    models,
    outage,
    places,
    processes,
    short,
    stealing,
    store,
    versions,
)
from tests.chaos.mutations import MECHANISMS
from tests.chaos.reckoning import Row
from tests.chaos.run import CommandFailedError, NotInTimeError, Run, no_mutation
from tests.chaos.telling import Teller
from tests.support.services import ROOT

EVENTS = 3_000
_POOL = 60_000

type Group = Callable[[Run], Awaitable[None]]

GROUPS: dict[str, Group] = {
    "g01": store.throttling,
    "g02": store.transient,
    "g03": store.broken_connections,
    "g04": store.guilty_member,
    "g05": store.refused,
    "g06": places.places,
    "g07": processes.deaths,
    "g08": processes.ownership,
    "g09": versions.versions,
    "g10": malformed.malformed,
    "g11": models.models,
    "g12": messages.messages,
    "g13": guilty.guilty,
    "g14": stealing.stealing,
    "g15": configuration.configuration,
    "bodies": bodies.bodies,
    "mixed": mixed.mixed,
    "outage": outage.outage,
    "short": short.short,
}
DEFAULT = [group for group in GROUPS if group != "short"]
LANES = 2
# Groups that measure, or that keep all cores busy themselves.
ALONE = frozenset({"mixed", "outage"})
# Groups that need another number of events than the others.
SIZES: dict[str, int] = {"mixed": 50_000, "outage": 60_000}


@dataclass
class Outcome:
    """What one group found."""

    group: str
    title: str
    rows: dict[str, Row] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether every event of every row came to its end."""
        return bool(self.rows) and not self.problems and all(row.good for row in self.rows.values())


async def run_all(
    folder: Path,
    wanted: Sequence[str],
    *,
    seed: int,
    events: int | None,
    without: str | None = None,
    lanes: int = LANES,
) -> list[Outcome]:
    """Run groups, some side by side; the outcomes are in the order of the groups.

    Args:
        folder: of all state and logs.
        wanted: names of groups; all but the short form when empty.
        seed: of every draw.
        events: in each group, or None: as many as each group is made for.
        without: a mechanism to take out.
        lanes: how many groups run side by side, each lane with servers of its own: most of a group's time
            goes by with waiting. Those in ``ALONE`` come after, one by one.
    """
    mechanism = MECHANISMS[without] if without else None
    groups = list(wanted) or ([mechanism.group] if mechanism else DEFAULT)
    outcomes: dict[str, Outcome] = {}
    with report.progress() as bars:

        async def lane(servers: Path, waiting: deque[str]) -> None:
            async with bench(servers, groups) as made:
                while waiting:
                    group = waiting.popleft()
                    teller = Teller(report.err, bars, group)
                    run = Run(
                        made,
                        group,
                        folder / group,
                        flights=flights(),
                        seed=seed,
                        events=events or SIZES.get(group, EVENTS),
                        say=teller.say,
                        mutate=mechanism.take_out if mechanism else no_mutation,
                    )
                    outcomes[group] = await _run(group, run)
                    teller.end(outcomes[group].seconds, good=outcomes[group].good)

        # The last groups take longest: with them first, the lanes end at about the same time.
        together = deque(group for group in reversed(groups) if group not in ALONE)
        async with asyncio.TaskGroup() as tasks:
            for number in range(min(lanes, len(together))):
                tasks.create_task(lane(folder / f"servers-{number + 1}", together))
        if alone := deque(group for group in groups if group in ALONE):
            await lane(folder / "servers-alone", alone)
    return [outcomes[group] for group in groups]


async def _run(group: str, run: Run) -> Outcome:
    action = GROUPS[group]
    outcome = Outcome(group, (action.__doc__ or "").partition(": ")[2].rstrip(".\n"))
    began = time.monotonic()
    try:
        try:
            await action(run)
        except (NotInTimeError, HostGoneError, CommandFailedError) as error:
            outcome.problems.append(str(error))
        outcome.rows = await run.reckon()
    finally:
        await run.close()
    outcome.notes = run.notes
    outcome.seconds = time.monotonic() - began
    return outcome


_flights: list[dict[str, Any]] = []


def flights() -> list[dict[str, Any]]:
    """Real flights to draw from."""
    if not _flights:
        with gzip.open(ROOT / "models" / "flights" / "events.jsonl.gz") as lines:
            _flights.extend(json.loads(line) for line in islice(lines, _POOL))
    return _flights
