"""What `everscore status` shows, in the widths that terminals have."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rich.console import Console

from everscore.clock import times
from everscore.watch.judging import Tally, Verdict, judged
from everscore.watch.status import StatusReport
from everscore_cli.commands import status
from everscore_cli.function_reports import Reported
from everscore_cli.observe import Partition
from everscore_cli.stack_health import PartHealth
from everscore_cli.stuck_partitions import StuckPartition

CURRENT, OTHER = "a" * 64, "b" * 64
NOW = times.now()
AT = "2026-11-25T10:11:12.123Z"
HOST = "http://127.0.0.1:7071/api/health says healthy"
HELD = "partition 31, events 9007199254740991 to 9007199254741246"


def _verdict(configuration: str, bodies: int, failed: int) -> Verdict:
    tally = Tally(bodies=bodies, scored=failed < bodies, failed={"validate: id is null [/id]": failed})
    return judged(Verdict(configuration=configuration, waiting=1_234_567), "w", tally, NOW)


@pytest.fixture
def seen() -> status._Seen:
    """A long-running pipeline in which something of every kind is wrong."""
    report = StatusReport(
        "score_events",
        at=AT,
        configuration=CURRENT,
        last_failure="store: database or container missing",
        last_failure_at=AT,
        no_place=HELD,
        no_place_at=AT,
    )
    return status._Seen(
        parts=[
            PartHealth("eventhubs", True, "AMQP on port 5672", 1_234_567, 86_400.0, 1_234.5),
            PartHealth("functions", True, HOST, 1_234_568, 86_400.0, 1_234.5),
        ],
        connections={},
        hub=status._Hub(
            [
                Partition("0", 9_007_199_254_740, 9_007_199_254_740, 0),
                Partition("31", 9_007_199_254_740, None, 12_345_678),
            ],
            {"31": StuckPartition(7, 60_000.0)},
        ),
        numbers={
            "retryQueueMessages": 1_234,
            "poisonQueueMessages": 1,
            "deadLetters": 12_345,
            "documents": 123_456_789,
        },
        reports={"score_events": Reported(report, []), "retry_events": None},
        verdicts=[_verdict(CURRENT, 200, 200), _verdict(OTHER, 200, 150)],
        brake=timedelta(days=1),
    )


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_every_heading_and_number_is_whole_in_any_terminal(
    seen: status._Seen, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 40 columns as at 200 nothing is cut: no word of a heading, no number, no moment, no address."""
    console = Console(width=width)
    monkeypatch.setattr(status, "out", console)
    with console.capture() as captured:
        status._print(seen)
    text = captured.get()
    assert "…" not in text
    framed = [line for line in text.splitlines() if line.startswith(("│", "┃", "┏"))]
    assert all(len(line) <= width for line in framed)
    words = set(text.split())
    headings = (
        ("part", "health", "up", "memory", "pid"),
        ("partition", "last", "sequence", "number", "checkpoint", "lag", "stuck", "for"),
        ("what", "how", "many"),
        ("configuration", "verdict", "failed", "alike", "sent", "to", "wait", "most", "frequent", "reason"),
        ("function", "at", "which"),
    )
    assert {word for table in headings for word in table} <= words
    values = (
        ("eventhubs", "86,400", "1,234", "1234568"),
        ("9,007,199,254,740", "12,345,678", "16.7"),
        ("1,234", "12,345", "123,456,789"),
        ("aaaaaaaaaaaa", "(current)", "bbbbbbbbbbbb", "braked", "150", "1,234,567"),
        ("score_events", "2026-11-25", "10:11:12Z"),
    )
    assert {value for table in values for value in table} <= words
