"""The verdicts as `everscore status` shows them."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console

from everscore.clock import times
from everscore.watch.judging import Tally, Verdict, judged
from everscore_cli.verdict_reports import of_interest, verdict_sentences, verdicts_json, verdicts_table

NOW = times.now()
DAY = timedelta(days=1)
CURRENT, WAITS, OLD, GOOD = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


def verdict(configuration: str, bodies: int, failed: int, *, ago: timedelta = timedelta(0)) -> Verdict:
    """A verdict that was given some time ago."""
    tally = Tally(bodies=bodies, scored=failed < bodies, failed={"decode: [x]": failed} if failed else {})
    return judged(Verdict(configuration=configuration, waiting=failed), "w", tally, NOW - ago)


ALL = [
    verdict(CURRENT, 3, 3),
    verdict(WAITS, 30, 30, ago=DAY / 2),
    verdict(OLD, 30, 30, ago=2 * DAY),
    verdict(GOOD, 30, 0),
]


def test_hole_02_status_shows_the_current_configuration_and_those_under_which_events_wait() -> None:
    """Others that were well, or whose events have long had their end, are left out."""
    shown = of_interest(ALL, CURRENT, DAY)
    assert [each.configuration for each in shown] == [CURRENT, WAITS]
    first, second = verdicts_json(shown, CURRENT)
    assert (first["current"], first["state"], first["failedAlike"], first["sentToWait"]) == (
        True,
        "unproven",
        3,
        3,
    )
    assert (second["current"], second["state"], second["reason"]) == (False, "braked", "decode: [x]")
    console = Console(width=200)
    with console.capture() as printed:
        console.print(verdicts_table(shown, CURRENT))
    text = printed.get()
    for part in ("aaaaaaaaaaaa", "(current)", "unproven", "bbbbbbbbbbbb", "braked", "decode: [x]"):
        assert part in text


def test_hole_02_only_what_the_app_runs_under_is_a_problem() -> None:
    """A configuration that was corrected is none, though events wait that it had braked; nor is a fresh one."""
    assert verdict_sentences(ALL, CURRENT, NOW) == []
    (later,) = verdict_sentences(ALL, CURRENT, NOW + timedelta(minutes=11))
    assert later.startswith("score_events: brake: configuration aaaaaaaaaaaa is unproven since")
    (braked,) = verdict_sentences(ALL, WAITS, NOW)
    assert "is braked since" in braked
    assert verdict_sentences(ALL, None, NOW) == []
