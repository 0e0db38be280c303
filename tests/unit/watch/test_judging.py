"""Verdicts on configurations, by what bodies came to."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everscore.clock import times
from everscore.failures import Permanent, Stage, unexpected
from everscore.watch.judging import (
    NOT_FINITE,
    State,
    Tally,
    Verdict,
    Window,
    Worker,
    added,
    alarms,
    judge,
    judged,
    kind_of,
    lets_go,
    sentence_of,
)

NOW = times.parse("2026-11-25T10:00:00Z")
WELL, BRAKED, UNPROVEN = State.WELL, State.BRAKED, State.UNPROVEN


def tally(bodies: int, failed: int = 0, *, scored: bool = True, **others: int) -> Tally:
    """Bodies of which some failed for the kind ``bad``, some for others."""
    return Tally(bodies=bodies, scored=scored, failed={"bad": failed, **others} if failed or others else {})


@pytest.mark.parametrize(
    ("total", "proven", "before", "state"),
    [
        # Nothing came, or nothing was scored yet.
        (tally(0, scored=False), False, UNPROVEN, UNPROVEN),
        (tally(1, 1, scored=False), False, UNPROVEN, UNPROVEN),
        (tally(5, 2, other=2, scored=False), False, UNPROVEN, UNPROVEN),
        (tally(40, 10, other=10, scored=False), False, UNPROVEN, UNPROVEN),
        (tally(300, scored=False), False, UNPROVEN, UNPROVEN),
        # What is not well yet becomes so once those that failed alike are clearly few: 8 bodies without any …
        (tally(7), True, UNPROVEN, UNPROVEN),
        (tally(8), True, UNPROVEN, WELL),
        # … 12 with one, 15 with two, 18 with three, 50 with three tenths, 200 with two fifths.
        (tally(2, 1), True, UNPROVEN, UNPROVEN),
        (tally(11, 1), True, UNPROVEN, UNPROVEN),
        (tally(12, 1), True, UNPROVEN, WELL),
        (tally(14, 2), True, UNPROVEN, UNPROVEN),
        (tally(15, 2), True, UNPROVEN, WELL),
        (tally(18, 3), True, UNPROVEN, WELL),
        (tally(20, 4), True, UNPROVEN, UNPROVEN),
        (tally(49, 15), True, BRAKED, BRAKED),
        (tally(50, 15), True, BRAKED, WELL),
        (tally(199, 80), True, BRAKED, BRAKED),
        (tally(200, 80), True, BRAKED, WELL),
        (tally(2_000, 801), True, BRAKED, BRAKED),
        (tally(50, 15, scored=False), False, BRAKED, BRAKED),
        # What is well stays so, unless more than two fifths of a few bodies fail alike, and more than one.
        (tally(1, 1), True, WELL, WELL),
        (tally(3, 2), True, WELL, UNPROVEN),
        (tally(5, 2), True, WELL, WELL),
        (tally(19, 8), True, WELL, UNPROVEN),
        (tally(19, 7), True, WELL, WELL),
        (tally(19, 7, other=12), True, WELL, UNPROVEN),
        # From 20 bodies on more than half trips the brake.
        (tally(20, 20, scored=False), False, UNPROVEN, BRAKED),
        (tally(20, 11), True, WELL, BRAKED),
        (tally(20, 10), True, WELL, WELL),
        (tally(20, 10), True, BRAKED, BRAKED),
        (tally(20, 10), True, UNPROVEN, UNPROVEN),
        (tally(200, 10, other=10), True, WELL, WELL),
        # Scores that are never finite, however few get so far as to be scored.
        (tally(20, scored=False, **{NOT_FINITE: 1}), True, WELL, BRAKED),
        (tally(20, **{NOT_FINITE: 1}), True, WELL, WELL),
        (tally(19, scored=False, **{NOT_FINITE: 1}), True, WELL, WELL),
    ],
)
def test_hole_02_a_configuration_is_unproven_braked_or_well(total, proven, before, state) -> None:
    """Unproven until something was scored, braked where most of 20 bodies or more fail alike, else well."""
    assert judge(total, proven=proven, before=before) is state


@given(st.integers(0, 300), st.integers(0, 300), st.booleans(), st.sampled_from(State))
def test_hole_02_a_large_majority_is_never_well_and_a_small_minority_always(bodies, failed, scored, before):
    """Whatever the state was: above half of 20 bodies it is braked, up to two fifths of 200 it is well."""
    failed = min(failed, bodies)
    state = judge(tally(bodies, failed, scored=scored), proven=scored, before=before)
    if bodies >= 20 and failed * 2 > bodies:
        assert state is BRAKED
    if scored and bodies >= 200 and failed * 5 <= bodies * 2:
        assert state is WELL
    if not scored:
        assert state is not WELL


def chance_of_well(failing: float, bodies: int) -> float:
    """How likely a new configuration is held to be well at some time, where bodies come one by one."""
    waiting = {(0, False, UNPROVEN): 1.0}  # by failures, whether one was scored, and state
    well = 0.0
    for number in range(1, bodies + 1):
        after: dict[tuple[int, bool, State], float] = defaultdict(float)
        for (failed, proven, before), chance in waiting.items():
            for is_bad, share in ((True, failing), (False, 1 - failing)):
                alike, scored = failed + is_bad, proven or not is_bad
                state = judge(tally(number, alike, scored=scored), proven=scored, before=before)
                if state is WELL:
                    well += chance * share
                else:
                    after[alike, scored, state] += chance * share
        waiting = after
    return well


@pytest.mark.parametrize(
    ("failing", "most"), [(0.55, 0.006), (0.6, 0.0015), (0.7, 1e-4), (0.8, 1e-5), (0.9, 1e-7)]
)
def test_hole_02_a_mistake_that_hits_most_is_never_well_one_event_a_batch(failing: float, most: float):
    """It would let go of all that waits; where three fifths fail, one new configuration in a thousand does."""
    assert chance_of_well(failing, 200) < most


@pytest.mark.parametrize(("failing", "bodies"), [(0.0, 8), (0.05, 20), (0.1, 30), (0.3, 110)])
def test_hole_02_where_few_are_bad_nothing_waits_for_long(failing: float, bodies: int) -> None:
    """A bad event among the first waits for a few good ones: 20 where one in twenty is bad."""
    assert chance_of_well(failing, bodies) > 0.9


def test_a_window_keeps_the_last_bodies_and_the_last_batches() -> None:
    """At least 200 bodies, and at least 10 batches, since one batch comes of one partition."""
    window = Window()
    for number in range(300):
        window.add(tally(1, int(number < 150), scored=number % 2 == 0))
    assert window.total == tally(200, 50)
    for _ in range(10):
        window.add(tally(256, 256, scored=False))
    assert window.total == tally(2560, 2560, scored=False)
    window.add(tally(256))
    assert window.total == tally(2560, 2304)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40), st.booleans()), max_size=60))
def test_a_window_is_the_sum_of_what_it_keeps(batches) -> None:
    """Counting on and off comes to what adding up anew does, and no more is kept than is needed."""
    window, all_ = Window(), []
    for bodies, failed, scored in batches:
        all_.append(tally(bodies, min(bodies, failed), scored=scored))
        window.add(all_[-1])
    kept = next(n for n in range(len(all_) + 1) if added(all_[len(all_) - n :]).bodies == window.total.bodies)
    assert window.total == added(all_[len(all_) - kept :])
    assert kept == len(all_) or (kept >= 10 and window.total.bodies >= 200)
    assert kept <= 10 or added(all_[len(all_) - kept + 1 :]).bodies < 200


def test_hole_02_reasons_are_compared_without_their_values() -> None:
    """What differs in numbers and quoted texts alone is one kind of failure; stage and words are not."""
    one = Permanent(Stage.DECODE, "record 17 of 'a b' is \"x\" after 1.5 s")
    other = Permanent(Stage.DECODE, "record 4 of '' is \"yy\" after 20 s")
    assert kind_of(one) == kind_of(other) == "decode: record … of … is … after … s"
    assert kind_of(Permanent(Stage.STORE, "too large")) != kind_of(Permanent(Stage.SCORE, "too large"))
    assert kind_of(unexpected(Stage.SCORE, ValueError("7"))) == "score: unexpected ValueError"
    assert len(kind_of(Permanent(Stage.DECODE, "x" * 5_000))) == 200


def at(**ago: float) -> str:
    """A moment before now, as verdicts hold it."""
    return times.milliseconds_text(NOW - timedelta(**ago))


def test_hole_02_the_verdict_is_over_the_sum_of_all_workers() -> None:
    """Nine good workers outvote one whose partition alone is bad; a worker's word replaces its last one."""
    good = {f"w{n}": Worker(at=at(seconds=5), bodies=200, scored=True) for n in range(9)}
    verdict = Verdict(configuration="c", state=WELL, proven=True, since=at(days=1), workers=good)
    after = judged(verdict, "bad", tally(300, 300, scored=False), NOW)
    assert after.state is WELL
    assert after.total == tally(2100, 300)
    assert after.since == at(days=1)
    assert judged(after, "bad", tally(256, 1), NOW).total == tally(2056, 1)
    alone = judged(Verdict(configuration="c"), "bad", tally(300, 300, scored=False), NOW)
    assert (alone.state, alone.kind, alone.since, alone.failing_since) == (BRAKED, "bad", at(), at())


def test_hole_02_what_dead_workers_counted_holds_until_others_have_counted_enough() -> None:
    """At an event a minute and a new worker for each, 20 bodies still come together, however old."""
    verdict = Verdict(configuration="c")
    for number in range(300):
        now = NOW + timedelta(minutes=number)
        verdict = judged(verdict, f"w{number}", tally(1, 1, scored=False), now)
        assert verdict.state is (UNPROVEN if number < 19 else BRAKED)
        assert len(verdict.workers) <= 64
    for number in range(300, 600):
        verdict = judged(verdict, f"w{number}", tally(100), NOW + timedelta(minutes=number))
    assert verdict.state is WELL
    assert len(verdict.workers) == 16  # those of the last quarter of an hour
    assert verdict.failing_since is verdict.kind is None


def test_an_idle_worker_forgets_nothing_and_says_nothing_new() -> None:
    """Without a body of one's own, what others counted is judged as it stands."""
    others = {"w": Worker(at=at(days=30), bodies=20, failed={"bad": 20})}
    after = judged(Verdict(configuration="c", workers=others), "me", tally(0, scored=False), NOW)
    assert after.state is BRAKED
    assert list(after.workers) == ["w"]


def test_hole_02_once_proven_it_stays_so() -> None:
    """What was scored long ago counts: a bad event in a quiet hour is a dead letter at once."""
    verdict = judged(Verdict(configuration="c"), "a", tally(8), NOW)
    assert (verdict.state, verdict.proven) == (WELL, True)
    verdict = msgspec.structs.replace(verdict, workers={})
    assert judged(verdict, "b", tally(1, 1, scored=False), NOW).state is WELL


def test_the_count_of_what_waits_ends_with_the_wait() -> None:
    """A verdict of well starts it again at none."""
    verdict = judged(Verdict(configuration="c", waiting=7), "a", tally(1, 1, scored=False), NOW)
    assert verdict.waiting == 7
    assert judged(verdict, "a", tally(12, 1), NOW).waiting == 0


@pytest.mark.parametrize(
    ("total", "age", "expected"),
    [
        (tally(1, 1, scored=False), {"minutes": 9}, False),
        (tally(1, 1, scored=False), {"minutes": 10}, True),
        (tally(19, 10, other=9, scored=False), {}, False),
        (tally(40, 10, other=10, scored=False), {}, True),
        (tally(20, 20, scored=False), {}, True),
        (tally(300, scored=False), {"days": 1}, False),
        (tally(300, 120), {"days": 1}, False),
        (tally(10, 4), {"days": 1}, False),
        (tally(10, 5), {"minutes": 10}, True),
        (tally(60, 25), {}, True),
    ],
)
def test_hole_02_the_alarm_comes_with_the_20th_failure_or_after_10_minutes(total, age, expected) -> None:
    """Unproven: with the 20th failure or after 10 minutes, unless only a few wait. Braked: at once. Well: never."""
    verdict = judged(Verdict(configuration="c"), "a", total, NOW)
    assert alarms(verdict, NOW + timedelta(**age)) is expected


def test_hole_02_a_verdict_lets_go_only_what_was_braked_before_it() -> None:
    """One that is older than the braking may be overtaken; after 10 minutes it is not."""
    well = Verdict(configuration="c", state=WELL, at=at())
    assert lets_go(well, NOW, NOW)
    assert lets_go(well, NOW - timedelta(days=1), NOW)
    assert not lets_go(well, NOW + timedelta(seconds=1), NOW + timedelta(minutes=9))
    assert lets_go(well, NOW + timedelta(seconds=1), NOW + timedelta(minutes=11))
    assert not lets_go(None, NOW - timedelta(days=1), NOW)
    for state in (BRAKED, UNPROVEN):
        assert not lets_go(msgspec.structs.replace(well, state=state), NOW - timedelta(days=1), NOW)


def test_a_verdict_in_words_says_what_to_do() -> None:
    """The sentence names configuration, state, numbers, kind and remedy; one of well needs none."""
    fresh = Verdict(configuration="c" * 64)
    braked = sentence_of(judged(fresh, "a", tally(30, 20, scored=False), NOW))
    for part in (
        "cccccccccccc is braked since",
        "nothing was scored",
        "30 bodies 20",
        "(bad)",
        "BRAKE_HOURS",
    ):
        assert part in braked
    assert "correct stream.json" in braked
    assert sentence_of(judged(fresh, "a", tally(30, 3), NOW)) == (
        f"well since {at()}: of the last 30 bodies 3 failed alike (bad)"
    )
    assert sentence_of(judged(fresh, "a", tally(5, 1), NOW)) == (
        f"configuration cccccccccccc is unproven since {at()}: of the last 5 bodies 1 failed alike (bad). "
        "What fails waits in the retry queue until a few more bodies tell whose fault it is"
    )
    assert sentence_of(fresh) == (
        "configuration cccccccccccc is unproven: nothing was scored under it yet, none failed"
    )
