"""Which events a run sends, in which phase, and what is to become of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from everscore.event.identity import encode_id
from everscore_cli.demo.malformed import break_event, is_malformed
from everscore_cli.errors import CliError
from everscore_cli.keys import KeyOf
from everscore_cli.producer import Outgoing
from everscore_cli.sources import Line, read_chunks

MALFORMED_EVERY = 100
NUMBER = "number"  # the application property that says which of the sent events one is


@dataclass(frozen=True, slots=True)
class Planned:
    """One event of a run.

    Attributes:
        number: from 0, in the order of sending; it travels as an application property.
        id: of the document that it must become; None for a malformed one.
        malformed: in which way, or None.
        outgoing: what is sent.
    """

    number: int
    id: str | None
    malformed: str | None
    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class Plan:
    """All events of a run.

    Attributes:
        first: one flight ahead of all, which starts everything up.
        steady: sent at a fixed rate, to measure latency.
        full: the rest, sent as fast as it goes.
    """

    first: Planned
    steady: Sequence[Planned]
    full: Sequence[Planned]

    @property
    def all(self) -> list[Planned]:
        """Every event, in the order of sending."""
        return [self.first, *self.steady, *self.full]


def make_plan(source: str, events: int, steady: int, key_of: KeyOf) -> Plan:
    """Take the first flights and break one in a hundred.

    Args:
        source: the flights' file.
        events: how many in all.
        steady: how many of them at a fixed rate.
        key_of: the partition key of a payload.

    Raises:
        CliError: the file is not there or holds too few.
    """
    lines: list[Line] = []
    for chunk in read_chunks(source):
        lines.extend(islice(chunk, events - len(lines)))
        if len(lines) == events:
            break
    if len(lines) < events:
        raise CliError(f"{source} holds {len(lines):,} events, fewer than the {events:,} asked for.")
    planned = [_plan(number, line, key_of) for number, line in enumerate(lines)]
    return Plan(planned[0], planned[1 : 1 + steady], planned[1 + steady :])


def _plan(number: int, line: Line, key_of: KeyOf) -> Planned:
    key, properties = key_of(line.value), {NUMBER: str(number)}
    if not is_malformed(number, MALFORMED_EVERY):
        return Planned(number, encode_id(line.value["id"]), None, Outgoing(line.body, key, properties))
    way, body = break_event(number // MALFORMED_EVERY, line.body, line.value)
    return Planned(number, None, way, Outgoing(body, key, properties))
