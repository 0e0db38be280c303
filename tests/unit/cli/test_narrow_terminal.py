"""What a terminal of 80 columns, the usual width, shows of tables and bars: no word or number is cut."""

from __future__ import annotations

import pytest
from rich.console import Console

from everscore.clock import times
from everscore.watch.judging import Tally, Verdict, judged
from everscore_cli import console as consoles
from everscore_cli.demo import report
from everscore_cli.demo.course import Outcome
from everscore_cli.demo.drain import Waiting
from everscore_cli.demo.figures import Throughput
from everscore_cli.demo.reconcile import Account, Row
from everscore_cli.verdict_reports import verdicts_table

CURRENT = "a" * 64


@pytest.fixture
def narrow() -> Console:
    """80 columns."""
    return Console(width=80)


def test_the_account_of_a_run_fits(narrow: Console) -> None:
    """The heads of its columns and its numbers are whole."""
    account = Account(Row(19_800, 19_800), Row(200, dead_lettered=200), 0, 0, 539, 0)
    outcome = Outcome(account, Waiting(0, 0, 0), None, None, 7_541, Throughput(9_578, 2.9), 170, 23, [], None)
    with narrow.capture() as printed:
        report.show(narrow, outcome, 500)
    assert "…" not in printed.get()
    assert "19,800" in printed.get()


def test_the_reason_of_a_verdict_fits(narrow: Console) -> None:
    """Each of its words is whole, and so are the configuration and the counts."""
    tally = Tally(bodies=1_234, failed={"score: wrong type of input": 1_200})
    verdict = judged(Verdict(configuration=CURRENT, waiting=1_200), "w", tally, times.now())
    with narrow.capture() as printed:
        narrow.print(verdicts_table([verdict], CURRENT))
    words = printed.get().split()
    assert "…" not in printed.get()
    assert {"aaaaaaaaaaaa", "(current)", "1,234", "score:", "wrong", "input"} <= set(words)


def test_the_counts_beside_a_bar_fit(narrow: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar gives way to them."""
    monkeypatch.setattr(consoles, "err", narrow)
    with narrow.capture() as printed, consoles.bars() as bars:
        rate = "1,000 in the hub, 10 messages queued"
        bars.add_task("sent at a steady rate", total=19_800, completed=19_800, rate=rate)
    assert "19800/19800" in printed.get()
