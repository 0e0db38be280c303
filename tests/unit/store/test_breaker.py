"""The circuit breaker before the store."""

from __future__ import annotations

import asyncio

import pytest

from everscore.adapters.classification import classify_cosmos
from everscore.failures import Conflict, Failure, OutOfTime, Permanent, Stage, Throttled, Transient
from everscore.ports import Write, WriteRefusedError
from everscore.store import breaker
from everscore.store.breaker import BreakingStore, State

WRITES = [Write({"id": "a"})]
OUT = WriteRefusedError(Transient(Stage.STORE, "store timed out"), None)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Store:
    """A store that answers as it is told and counts how often it is asked."""

    def __init__(self) -> None:
        self.answer: WriteRefusedError | None = None
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def write(self, pk, writes):
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.answer is not None:
            raise self.answer
        return 1.0

    async def read(self, pk, ids):
        self.asked += 1
        if self.answer is not None:
            raise self.answer.failure
        return {}


@pytest.fixture
def clock(monkeypatch):
    """The breaker's clock, in the test's hands."""
    clock = Clock()
    monkeypatch.setattr(breaker, "time", clock)
    return clock


async def fail(breaking: BreakingStore, times: int = 1) -> None:
    """Write in vain, so many times."""
    for _ in range(times):
        with pytest.raises(WriteRefusedError):
            await breaking.write("k", WRITES)


async def test_it_opens_after_failures_in_a_row_and_then_asks_nobody(clock):
    """Three failures open it; the fourth call is refused without a request, and says when to come again."""
    store = Store()
    breaking = BreakingStore(store, failures=3, longest_pause=4)
    store.answer = OUT
    await fail(breaking, 3)
    assert breaking.state is State.OPEN
    with pytest.raises(WriteRefusedError) as refused:
        await breaking.write("k", WRITES)
    assert store.asked == 3
    assert isinstance(refused.value.failure, Transient)
    assert refused.value.failure.retry_after == pytest.approx(1.0)
    with pytest.raises(Failure):
        await breaking.read("k", ["a"])
    assert store.asked == 3


async def test_one_probe_at_a_time_decides(clock):
    """After the pause one request goes through while the others are refused; its success closes the breaker."""
    store = Store()
    breaking = BreakingStore(store, failures=1, longest_pause=4)
    store.answer = OUT
    await fail(breaking)
    store.answer, store.gate = None, asyncio.Event()
    clock.now += 1.0
    probe = asyncio.create_task(breaking.write("k", WRITES))
    await asyncio.sleep(0)
    assert breaking.state is State.HALF_OPEN
    await fail(breaking, 5)
    assert store.asked == 2
    store.gate.set()
    assert await probe == 1.0
    assert breaking.state is State.CLOSED


async def test_failed_probes_double_the_pause_up_to_the_longest(clock):
    """1, 2, 4, 4 seconds between probes; a success sets it back to 1."""
    store = Store()
    breaking = BreakingStore(store, failures=1, longest_pause=4)
    store.answer = OUT
    await fail(breaking)
    for asked, pause in ((2, 1.0), (3, 2.0), (4, 4.0), (5, 4.0)):
        clock.now += pause - 0.01
        await fail(breaking)
        assert store.asked == asked - 1
        clock.now += 0.01
        await fail(breaking)
        assert store.asked == asked
    clock.now += 4.0
    store.answer = None
    await breaking.write("k", WRITES)
    store.answer = OUT
    await fail(breaking)
    clock.now += 1.0
    await fail(breaking)
    assert store.asked == 8


async def test_what_was_sent_before_it_opened_moves_no_pause(clock):
    """Requests that were under way when it opened fail late: the pause to the next probe is the first one."""
    store = Store()
    breaking = BreakingStore(store, failures=1, longest_pause=60)
    store.answer, store.gate = OUT, asyncio.Event()
    late = [asyncio.create_task(breaking.write("k", WRITES)) for _ in range(8)]
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(*late, return_exceptions=True)
    assert store.asked == 8
    clock.now += 1.0
    store.answer = None
    assert await breaking.write("k", WRITES) == 1.0


@pytest.mark.parametrize(
    "answer",
    [
        WriteRefusedError(Throttled(Stage.STORE, "throttled"), None),
        WriteRefusedError(Permanent(Stage.STORE, "refused by the store"), None),
        WriteRefusedError(Conflict(Stage.STORE, "already there"), 0),
        WriteRefusedError(Transient(Stage.STORE, "store answers 449"), 0),
    ],
    ids=["throttled", "permanent", "conflict", "one operation"],
)
async def test_what_says_that_the_store_is_there_never_opens_it(clock, answer):
    """Throttling, faults of one document and answers to single operations come from a store that is alive."""
    store = Store()
    breaking = BreakingStore(store, failures=1, longest_pause=4)
    store.answer = answer
    await fail(breaking, 10)
    assert breaking.state is State.CLOSED
    assert store.asked == 10


async def test_what_our_own_time_cut_short_says_nothing_of_the_store(clock):
    """It neither opens the breaker nor closes it, and as a probe it makes room for the next."""
    store = Store()
    breaking = BreakingStore(store, failures=2, longest_pause=4)
    cut_short = WriteRefusedError(OutOfTime(Stage.STORE, "store timed out"), None)
    store.answer = cut_short
    await fail(breaking, 10)
    with pytest.raises(OutOfTime):
        await breaking.read("k", ["a"])
    assert breaking.state is State.CLOSED
    store.answer = OUT
    await fail(breaking)
    store.answer = cut_short
    await fail(breaking)
    store.answer = OUT
    await fail(breaking)
    assert breaking.state is State.OPEN
    clock.now += 1.0
    store.answer = cut_short
    await fail(breaking)
    assert breaking.state is State.HALF_OPEN
    store.answer = None
    assert await breaking.write("k", WRITES) == 1.0
    assert breaking.state is State.CLOSED


async def test_a_cancelled_probe_makes_room_for_the_next(clock):
    """A probe that is cancelled does not block the store for good."""
    store = Store()
    breaking = BreakingStore(store, failures=1, longest_pause=4)
    store.answer = OUT
    await fail(breaking)
    clock.now += 1.0
    store.answer, store.gate = None, asyncio.Event()
    probe = asyncio.create_task(breaking.write("k", WRITES))
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    store.gate = None
    assert await breaking.write("k", WRITES) == 1.0
    assert breaking.state is State.CLOSED


async def test_hole_23_a_partition_that_lags_behind_opens_nothing(clock):
    """However often one partition answers that its replica is behind, the keys of all others are asked."""
    store = Store()
    breaking = BreakingStore(store, failures=3, longest_pause=4)
    store.answer = WriteRefusedError(classify_cosmos(404, 1002, "The read session is not available"), None)
    await fail(breaking, 10)
    assert breaking.state is State.CLOSED
    assert store.asked == 10


async def test_hole_24_what_turns_the_app_away_is_in_the_log_the_first_time(clock, caplog):
    """The service's own sentence is logged with the first refusal, not with each, and again after it was well."""
    store = Store()
    breaking = BreakingStore(store, failures=5, longest_pause=4)
    refusal = WriteRefusedError(classify_cosmos(403, None, "blocked by your firewall settings"), None)
    for _ in range(2):
        caplog.clear()
        store.answer = refusal
        await fail(breaking, 3)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "blocked by your firewall settings" in caplog.text
        store.answer = None
        await breaking.write("k", WRITES)


async def test_it_says_beforehand_whether_it_would_refuse(clock):
    """While it is open or a probe is under way it refuses; once a probe is due it does not, or none would be sent."""
    store = Store()
    breaking = BreakingStore(store, failures=1, longest_pause=4)
    assert not breaking.refuses
    store.answer = OUT
    await fail(breaking)
    assert breaking.refuses
    clock.now += 1
    assert not breaking.refuses
    store.gate = asyncio.Event()
    store.answer = None
    probe = asyncio.create_task(breaking.write("k", WRITES))
    await asyncio.sleep(0)
    assert breaking.refuses
    assert breaking.state is State.HALF_OPEN
    store.gate.set()
    await probe
    assert not breaking.refuses
