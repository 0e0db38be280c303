"""Verdicts as blobs: written by every worker of score_events, read by those of retry_events."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from everscore.clock.deadline import Deadline, cut, within
from everscore.failures import Configuration
from everscore.watch import verdicts
from everscore.watch.judging import State, Tally, Verdict
from everscore.watch.verdicts import Judge, Verdicts, decode_verdict, read_verdict
from tests.fakes import OUT, FakeBlobs

GOOD = Tally(bodies=1, scored=True)
BAD = Tally(bodies=1, failed={"bad": 1})


def judge_of(blobs: FakeBlobs, interval: float = 60.0) -> Judge:
    """A worker's, that asks the others each time."""
    return Judge(blobs, "c", interval=interval, fresh=0)


async def met(judge: Judge, *batches: Tally, again: bool = False) -> Verdict:
    """A worker meets batches and writes its verdict; returns its last."""
    verdict = Verdict(configuration="c")
    for batch in batches:
        verdict = await judge.weigh(batch, again=again, in_doubt=bool(batch.failed))
        await judge.write()
    return verdict


def written(blobs: FakeBlobs) -> Verdict:
    """The verdict as it lies there."""
    return decode_verdict(blobs.verdicts["c"][0])


def writes(blobs: FakeBlobs) -> int:
    """How often it was written."""
    return blobs.verdicts.get("c", (b"", 0))[1]


async def test_hole_02_a_change_is_written_at_once_and_nothing_else_more_than_once_a_minute() -> None:
    """The first word and each change of the state; what only adds up waits for its time."""
    blobs = FakeBlobs()
    judge = judge_of(blobs)
    assert (await met(judge, BAD)).state is State.UNPROVEN
    assert writes(blobs) == 1
    await met(judge, *[BAD] * 18)
    assert writes(blobs) == 1
    assert (await met(judge, BAD)).state is State.BRAKED
    assert (writes(blobs), written(blobs).state) == (2, State.BRAKED)
    assert (await met(judge, *[GOOD] * 50)).state is State.WELL
    assert (writes(blobs), written(blobs).state) == (3, State.WELL)
    eager = judge_of(blobs, interval=0)
    await met(eager, GOOD, GOOD)
    assert writes(blobs) == 5
    await met(eager, Tally())
    assert writes(blobs) == 5


async def test_hole_02_it_is_written_anew_though_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is well for years keeps its verdict from the life-cycle rule that clears old blobs."""
    blobs = FakeBlobs()
    judge = judge_of(blobs)
    await met(judge, GOOD)
    monkeypatch.setattr(verdicts, "REMIND_SECONDS", 0)
    await met(judge, Tally())
    assert writes(blobs) == 2
    assert verdicts.REMIND_SECONDS < 86_400


async def test_hole_02_workers_that_write_at_once_lose_nothing_of_each_other() -> None:
    """The ETag: who was slower judges anew with what the faster one wrote."""
    blobs = FakeBlobs()
    workers = [judge_of(blobs) for _ in range(4)]
    await asyncio.gather(*(met(worker, *[BAD] * 5) for worker in workers))
    for worker in workers:
        await met(worker, Tally())
    await met(judge_of(blobs), BAD)
    verdict = written(blobs)
    assert len(verdict.workers) == 5
    assert verdict.state is State.BRAKED or verdict.total.bodies < 20
    # All have said what they met by the next interval at the latest.
    for worker in workers:
        worker._interval = 0
        await worker.write()
    assert (written(blobs).total.bodies, written(blobs).state) == (21, State.BRAKED)


async def test_hole_02_a_worker_that_starts_judges_by_what_others_have_met() -> None:
    """After a restart one bad event is a dead letter at once, since the configuration is known to be well."""
    blobs = FakeBlobs()
    await met(judge_of(blobs), *[GOOD] * 8)
    assert (await met(judge_of(blobs), BAD)).state is State.WELL
    braked = FakeBlobs()
    await met(judge_of(braked), *[BAD] * 20)
    assert (await met(judge_of(braked), BAD)).state is State.BRAKED


async def test_hole_02_what_a_batch_that_came_again_has_proven_is_written() -> None:
    """After a death of the worker all its batches come again: they add no body, and the proof holds for all."""
    blobs = FakeBlobs()
    await met(judge_of(blobs), BAD)
    await met(judge_of(blobs), GOOD, again=True)
    assert written(blobs).proven
    await met(judge_of(blobs), *[GOOD] * 12, again=False)
    assert written(blobs).state is State.WELL


async def test_a_body_counts_once_however_often_its_batch_comes() -> None:
    """A batch that comes again adds nothing, but that something in it was scored."""
    judge = judge_of(FakeBlobs())
    verdict = await met(judge, BAD, *[BAD] * 40)
    assert verdict.total.bodies == 41
    again = judge_of(FakeBlobs())
    verdict = await met(again, BAD)
    verdict = await met(again, *[BAD] * 40, again=True)
    assert (verdict.total.bodies, verdict.state) == (1, State.UNPROVEN)
    verdict = await met(again, Tally(bodies=1, scored=True), again=True)
    assert (verdict.total.bodies, verdict.proven) == (1, True)


async def test_hole_02_without_blobs_a_worker_judges_by_what_it_met_and_writes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blobs that do not answer stop nothing; once they do, the verdict is there."""
    monkeypatch.setattr(verdicts, "_PATIENCE_SECONDS", 0.05)
    blobs = FakeBlobs()
    blobs.verdicts_refuse = OUT
    judge = judge_of(blobs)
    assert (await met(judge, *[BAD] * 20)).state is State.BRAKED
    blobs.verdicts_refuse = None
    await judge.write()
    assert not blobs.verdicts  # not by every call: blobs that hang cost each try its time-out
    await asyncio.sleep(0.1)
    await judge.write()
    assert written(blobs).state is State.BRAKED


async def test_what_could_not_be_written_is_written_though_no_batch_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last batch for hours made it well while blobs were out: what waits for the verdict is let go."""
    monkeypatch.setattr(verdicts, "_PATIENCE_SECONDS", 0.01)
    blobs = FakeBlobs()
    judge = judge_of(blobs)
    await met(judge, BAD, *[GOOD] * 5)
    assert written(blobs).state is State.UNPROVEN
    blobs.verdicts_refuse = OUT
    with within(Deadline.after(0.0)):  # of the invocation, whose time is over by the time of the second try
        assert (await met(judge, *[GOOD] * 8)).state is State.WELL
    await asyncio.sleep(0.05)
    assert written(blobs).state is State.UNPROVEN
    put, bounds = blobs.put_verdict, []

    async def bounded(configuration: str, data: bytes, etag: str | None) -> None:
        bounds.append(cut(5.0))
        await put(configuration, data, etag)

    blobs.put_verdict = bounded  # type: ignore[method-assign]
    blobs.verdicts_refuse = None
    async with asyncio.timeout(60):
        while written(blobs).state is not State.WELL:
            await asyncio.sleep(0.01)
    written_once = writes(blobs)
    await asyncio.sleep(0.05)
    assert writes(blobs) == written_once
    assert bounds == [5.0]


async def test_blobs_that_hang_do_not_hold_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading and writing end after their time, and the next batches do not wait for them again."""
    monkeypatch.setattr(verdicts, "_PATIENCE_SECONDS", 0.05)
    blobs, calls = FakeBlobs(), 0

    async def hang(configuration: str) -> None:
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(blobs, "get_verdict", hang)
    assert (await met(Judge(blobs, "c", interval=60), *[BAD] * 50)).state is State.BRAKED
    assert await Verdicts(blobs, "c").get() is None
    assert calls < 10


async def test_hole_02_a_damaged_verdict_is_written_anew_and_lets_nothing_go() -> None:
    """Whoever obeys takes it for unknown; whoever judges replaces it."""
    blobs = FakeBlobs()
    blobs.verdicts["c"] = (b'{"state":"fine"', 7)
    assert await Verdicts(blobs, "c").get() is None
    with pytest.raises(Configuration, match="verdict unreadable"):
        await read_verdict(blobs, "c")
    await met(judge_of(blobs), *[GOOD] * 8)
    assert (written(blobs).state, writes(blobs)) == (State.WELL, 9)


async def test_what_is_not_written_because_others_write_comes_with_the_next_batch(caplog) -> None:
    """A worker that meets another at each of its tries gives up for now."""
    blobs = FakeBlobs()
    judge = judge_of(blobs)
    await met(judge, *[GOOD] * 8)
    put = blobs.put_verdict

    async def beaten(configuration: str, data: bytes, etag: str | None) -> None:
        blobs.verdicts["c"] = (blobs.verdicts["c"][0], writes(blobs) + 1)
        await put(configuration, data, etag)

    blobs.put_verdict = beaten  # type: ignore[method-assign]
    await met(judge, *[BAD] * 20)
    assert "other workers write" in caplog.text
    assert written(blobs).state is State.WELL


async def test_a_reader_asks_once_for_all_and_not_again_for_a_while() -> None:
    """Messages that come together share one reading, and those of the next seconds do too."""
    blobs = FakeBlobs()
    reader = Verdicts(blobs, "c")
    first = await asyncio.gather(*(reader.get() for _ in range(5)))
    assert first == [Verdict(configuration="c")] * 5
    await met(judge_of(blobs), *[GOOD] * 8)
    assert await reader.get() == first[0]
    assert (await Verdicts(blobs, "c").get() or first[0]).state is State.WELL


async def test_a_verdict_of_a_newer_release_is_read() -> None:
    """Fields that this release does not know are left out."""
    verdict = msgspec.to_builtins(Verdict(configuration="c", state=State.BRAKED, kind="k"))
    data = msgspec.json.encode({**verdict, "schema": 2, "more": [1]})
    assert decode_verdict(data).state is State.BRAKED


async def test_what_was_sent_to_wait_is_added_up() -> None:
    """Of all workers, for as long as it waits."""
    blobs = FakeBlobs()
    for _ in range(2):
        judge = judge_of(blobs)
        await judge.weigh(BAD, again=False, in_doubt=True)
        judge.sent_to_wait(3)
        await judge.write()
    assert written(blobs).waiting == 6
