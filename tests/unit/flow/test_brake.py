"""The brake: what a wrong configuration stops waits, and where each of its ends is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from everscore.clock import backoff, times
from everscore.clock.deadline import Deadline
from everscore.event.event import Event
from everscore.event.item import Braked, Item
from everscore.event.scores import Scores
from everscore.failures import Failure, Permanent, Stage, Throttled, Unexpected
from everscore.flow.brake import Brake, tally_of
from everscore.flow.ending import NoPlaceAnswersError
from everscore.flow.limits import Patience
from everscore.flow.score_events import RetryState
from everscore.retry.names import suspect_name
from everscore.retry.packing import pack
from everscore.watch.judging import State, Tally, Verdict
from everscore.watch.verdicts import Verdicts
from tests.fakes import LARGE, OUT, FakeBlobs, FakeModel, World, ago, body_of, item_of, source_of, stream_of

HELD = "Exception: NoPlaceAnswersError: no destination takes 1 events"  # as the host hands on what was raised
WRONG = stream_of(unwrap="array")  # of bodies that are objects


def fresh(configuration: str = "new", **fields: Any) -> World:
    """A world under a configuration of which nobody knows anything yet."""
    return World(configuration=configuration, proven=False, **fields)


def good(*numbers: int) -> list[Item]:
    """Events that are stored."""
    return [item_of(number) for number in numbers]


def bad(*numbers: int) -> list[Item]:
    """Events that fail for good, alike."""
    return [item_of(number, pk=None) for number in numbers]


def everything(world: World) -> dict[str, int]:
    """How many events are where."""
    return {where: len(numbers) for where, numbers in world.sequence_numbers().items()}


def let_pass(world: World, **duration: float) -> None:
    """Time goes by for all that is in the queue."""
    items = world.queue.items
    for item in items:
        for name in ("queued_at", "first_failed_at"):
            setattr(item, name, earlier(getattr(item, name), **duration))
        if item.braked:
            item.braked = Braked(earlier(item.braked.at, **duration) or "", item.braked.configuration)
    world.queue.messages = [(packed.message, 0.0) for packed in pack(items)[0]]


def earlier(text: str | None, **duration: float) -> str | None:
    """A moment, moved back."""
    return text and times.milliseconds_text(times.parse(text) - timedelta(**duration))


class NanModel(FakeModel):
    """Gives no finite score to anything."""

    def score(self, payloads: Sequence[object], until: Deadline | None = None) -> list[Scores | Failure]:
        return [Permanent(Stage.SCORE, "score not finite", field="value") for _ in payloads]


# What the brake does to the data that is truly bad.


async def test_hole_02_one_bad_event_among_good_ones_is_a_dead_letter_at_once() -> None:
    """Of a configuration that is known to be well, or of a new one, once it has eight good ones."""
    for world in (fresh(), World()):
        await world.score(*good(*range(8)))
        await world.score(*good(8, 9), *bad(10), *good(11))
        assert world.sequence_numbers() == {"stored": [*range(10), 11], "queued": [], "dead": [10]}


async def test_hole_02_a_bad_first_event_is_a_dead_letter_after_some_good_ones() -> None:
    """Until then nobody knows whose fault it is: it waits, unread, whatever hub and queue do."""
    world = fresh()
    await world.score(*bad(1))
    before = world.queue.messages[0][0]
    for _ in range(3):
        [summary] = await world.retry()
        assert (summary.queued, summary.braked) == (1, 1)
    assert world.queue.messages[0][0] == before
    assert world.verdict.state is State.UNPROVEN
    for number in range(2, 12):
        await world.score(*good(number))
        await world.retry()
        assert everything(world)["dead"] == 0
    await world.score(*good(12))
    await world.retry()
    assert world.sequence_numbers() == {"stored": [*range(2, 13)], "queued": [], "dead": [1]}
    assert not world.blobs.letters[0].item.braked


@pytest.mark.parametrize("size", [1, 10, 100])
async def test_hole_02_where_30_percent_are_bad_each_is_a_dead_letter_at_once(size, caplog) -> None:
    """In batches of any size, and with no alarm; those among the first 50 wait until that many tell."""
    world = fresh()
    events = [*good(0), *(bad(n)[0] if n % 10 < 3 else good(n)[0] for n in range(1, 400))]
    for begin in range(0, 400, size):
        await world.score(*events[begin : begin + size])
    assert everything(world)["queued"] == {1: 11, 10: 8, 100: 0}[size]
    await world.retry()
    assert everything(world) == {"stored": 281, "queued": 0, "dead": 119}
    assert not [record for record in caplog.records if record.levelno >= logging.CRITICAL]


@pytest.mark.parametrize("size", [1, 10, 100])
async def test_hole_02_where_60_percent_are_bad_alike_each_waits_for_brake_hours(size, caplog) -> None:
    """Then they become dead letters one by one, and the alarm goes on all the while."""
    world = fresh()
    events = [bad(n)[0] if n % 5 < 3 else good(n)[0] for n in range(200)]
    for begin in range(0, 200, size):
        await world.score(*events[begin : begin + size])
        await world.retry()
    assert everything(world) == {"stored": 80, "queued": 120, "dead": 0}
    assert world.verdict.state is State.BRAKED
    assert any("Brake:" in record.getMessage() for record in caplog.records if record.levelname == "CRITICAL")
    let_pass(world, hours=23.9)
    await world.retry()
    assert everything(world)["queued"] == 120
    let_pass(world, hours=0.2)
    await world.retry()
    assert everything(world) == {"stored": 80, "queued": 0, "dead": 120}
    assert {letter.item.braked for letter in world.blobs.letters} == {None}


async def test_hole_02_near_a_half_nothing_is_let_go_by_a_few_good_events() -> None:
    """The brake trips above a half and lets go at two fifths."""
    world = fresh()
    await world.score(*bad(*range(110)), *good(*range(110, 200)))
    await world.score(*good(*range(200, 260)))  # 110 of 260
    assert world.verdict.state is State.BRAKED
    await world.retry()
    assert everything(world)["queued"] == 110
    await world.score(*good(*range(260, 300)))
    await world.retry()
    assert everything(world) == {"stored": 190, "queued": 0, "dead": 110}


async def test_hole_02_a_bad_partition_among_good_ones_trips_no_brake_for_long() -> None:
    """A batch of which most fail waits for the next verdict; that is over all partitions, and makes them letters."""
    world = World()
    for number in range(0, 4_000, 400):
        await world.score(*good(*range(number, number + 100)))
        await world.score(*good(*range(number + 100, number + 200)))
        await world.score(*good(*range(number + 200, number + 300)))
        summary = await world.score(*bad(*range(number + 300, number + 400)))
        assert (summary.braked, summary.dead_lettered) == (100, 0)
    world.judge._interval = 0
    await world.score(*good(4_000))
    assert world.verdict.state is State.WELL
    await world.retry()
    assert everything(world) == {"stored": 3_001, "queued": 0, "dead": 1_000}


# What it does to good events under a wrong configuration.


@pytest.mark.parametrize("size", [1, 256])
async def test_hole_02_a_wrong_stream_json_makes_no_dead_letter_at_any_rate(size) -> None:
    """One event a minute or a thousand a second: all wait, and are stored once it is corrected."""
    world = fresh("wrong", stream=WRONG)
    for begin in range(0, 1_024 if size > 1 else 50, size):
        await world.score(*good(*range(begin, begin + size)))
        await world.retry()
    count = everything(world)["queued"]
    assert everything(world) == {"stored": 0, "queued": count, "dead": 0}
    let_pass(world, hours=23)
    await world.retry()
    assert everything(world)["dead"] == 0
    corrected = fresh("corrected", beside=world)
    await corrected.retry()
    assert everything(corrected) == {"stored": count, "queued": 0, "dead": 0}


async def test_hole_02_events_that_wait_out_an_outage_survive_a_wrong_stream_json() -> None:
    """60 of them in the queue when it goes out: none is a dead letter, and all are stored in the end."""
    before = World()
    with before.store.refusing():
        await before.score(*good(*range(60)))
    wrong = fresh("wrong", stream=WRONG, beside=before)
    with wrong.store.refusing():
        await wrong.retry()
        await wrong.score(*good(*range(60, 70)))
        await wrong.retry()
    assert everything(wrong) == {"stored": 0, "queued": 70, "dead": 0}
    assert {item.braked.configuration for item in wrong.queue.items if item.braked} == {"wrong"}
    corrected = fresh("corrected", beside=wrong)
    await corrected.retry()
    assert everything(corrected) == {"stored": 70, "queued": 0, "dead": 0}


@pytest.mark.parametrize("count", [5, 60])
async def test_hole_02_a_model_that_gives_nan_for_all_makes_no_dead_letter(count) -> None:
    """From the hub and from the queue alike; with the next model all are stored."""
    before = World()
    with before.store.refusing():
        before.models.refuses = OUT  # so that nothing has a score yet
        await before.score(*good(*range(count)))
    wrong = fresh("nan", beside=before)
    wrong.models.model = NanModel()
    await wrong.retry()
    await wrong.score(*good(*range(count, 2 * count)))
    await wrong.retry()
    assert everything(wrong) == {"stored": 0, "queued": 2 * count, "dead": 0}
    corrected = fresh("corrected", beside=wrong)
    await corrected.retry()
    assert everything(corrected) == {"stored": 2 * count, "queued": 0, "dead": 0}


async def test_hole_02_what_a_wrong_configuration_made_of_an_event_is_dropped() -> None:
    """Id, key and scores are made anew where the configuration has changed, and kept where it has not."""
    world = fresh("wrong", stream=stream_of(id="/n", partitionKey=["/n"]))
    world.store.refuses = Permanent(Stage.STORE, "refused by the store")
    await world.score(*good(*range(30)))
    assert {(item.pk, item.id) for item in world.queue.items} != {("p", "id-0")}
    assert all(item.scores for item in world.queue.items)
    world.store.refuses = None
    corrected = fresh("corrected", beside=world)
    await corrected.retry()
    assert {(pk, doc_id) for pk, doc_id in corrected.store.documents} == {("p", f"id-{n}") for n in range(30)}
    assert corrected.models.model.calls == [30]


async def test_hole_02_a_large_event_starts_anew_as_well() -> None:
    """What its claim check says of id and scores is as old as what its message said."""
    world = fresh("wrong", stream=stream_of(id="/n"))
    world.store.refuses = Permanent(Stage.STORE, "refused by the store")
    await world.score(item_of(7, filler=LARGE))
    assert world.queue.items[0].blob
    world.store.refuses = None
    corrected = fresh("corrected", beside=world)
    await corrected.retry()
    assert list(corrected.store.documents) == [("p", "id-7")]


async def test_hole_02_a_rollback_takes_up_what_waits() -> None:
    """The older configuration is known to be well: what it can store is stored, the rest are dead letters."""
    old = World(configuration="old")
    await old.score(*good(1))
    wrong = fresh("wrong", stream=WRONG, beside=old)
    await wrong.score(*good(2, 3), *bad(4))
    rolled_back = World(configuration="old", beside=wrong, unexpected=timedelta(minutes=10))
    await rolled_back.retry()
    assert rolled_back.sequence_numbers() == {"stored": [1, 2, 3], "queued": [4], "dead": []}
    let_pass(rolled_back, minutes=11)  # the deployment is over
    await rolled_back.retry()
    assert rolled_back.sequence_numbers() == {"stored": [1, 2, 3], "queued": [], "dead": [4]}


async def test_hole_02_an_instance_of_the_old_configuration_lets_wait_what_the_new_one_braked() -> None:
    """Both run while a deployment goes out: what the old one can store is stored, and nothing is a dead letter."""
    old = World(configuration="old")
    await old.score(*good(1))
    new = fresh("new", beside=old)
    await new.score(*bad(2))
    for _ in range(5):
        await World(configuration="old", beside=new, unexpected=timedelta(minutes=10)).retry()
        assert new.sequence_numbers() == {"stored": [1], "queued": [2], "dead": []}
    assert new.queue.items[0].braked
    await new.score(*good(*range(3, 16)))  # which proves that the event was at fault
    await new.retry()
    assert new.sequence_numbers() == {"stored": [1, *range(3, 16)], "queued": [], "dead": [2]}


async def test_hole_02_what_fails_otherwise_under_another_configuration_begins_anew() -> None:
    """A store that is out says nothing of either; what nobody foresaw is counted from then on."""
    old = World(configuration="old")
    await old.score(*good(1))
    wrong = fresh("wrong", stream=WRONG, beside=old)
    await wrong.score(*good(2))
    back = World(configuration="old", beside=wrong)
    with back.store.refusing():
        await back.retry()
    assert back.queue.items[0].braked is None
    await back.retry()
    assert back.sequence_numbers() == {"stored": [1, 2], "queued": [], "dead": []}


async def test_hole_02_restarts_do_not_hide_a_wrong_configuration(caplog) -> None:
    """A new worker for each event: with the 20th the brake is on all the same."""
    world = fresh("wrong", stream=WRONG)
    for number in range(25):
        await fresh("wrong", stream=WRONG, beside=world).score(*good(number))
        assert world.verdict.state is (State.UNPROVEN if number < 19 else State.BRAKED)
    assert everything(world) == {"stored": 0, "queued": 25, "dead": 0}
    assert sum(record.levelname == "CRITICAL" for record in caplog.records) == 6


async def test_hole_02_a_restart_in_a_quiet_hour_makes_no_good_configuration_suspect() -> None:
    """The new worker's first event is bad: a dead letter at once, since others have scored under it."""
    world = fresh()
    await world.score(*good(*range(8)))
    await fresh("new", beside=world).score(*bad(8))
    assert world.sequence_numbers() == {"stored": [*range(8)], "queued": [], "dead": [8]}


@pytest.mark.parametrize("where", ["hub", "queue"])
async def test_hole_02_while_the_verdict_is_out_of_reach_what_fails_waits(where) -> None:
    """Nothing is lost and nothing becomes a dead letter; once it is read again, all goes its way."""
    world = World()
    if where == "queue":
        with world.store.refusing():
            await world.score(*good(1), item_of(2))
        let_pass(world)
        world.queue.messages.clear()
        put(world, *bad(2), *good(1))
    world.blobs.verdicts_refuse = OUT
    if where == "hub":
        await world.score(*bad(2))
        await world.retry()
        assert world.sequence_numbers() == {"stored": [], "queued": [2], "dead": []}
    else:
        await world.retry()
        assert world.sequence_numbers() == {"stored": [1], "queued": [2], "dead": []}
    world.blobs.verdicts_refuse = None
    let_pass(world, minutes=11)
    await world.retry()
    assert world.sequence_numbers()["dead"] == [2]


async def test_hole_02_a_worker_knows_what_it_met_even_without_blobs() -> None:
    """A good batch with one bad event in it needs no verdict from elsewhere."""
    world = fresh()
    world.blobs.verdicts_refuse = OUT
    await world.score(*good(*range(11)), *bad(11))
    assert world.sequence_numbers() == {"stored": [*range(11)], "queued": [], "dead": [11]}


async def test_hole_02_what_kills_every_worker_may_be_the_model() -> None:
    """Under a configuration that never scored anything, what crashes waits, and is tried again under the next."""
    world = fresh("deadly")
    put(world, *good(1), crashes=1)
    name = suspect_name(item_of(1))
    world.blobs.claim_checks[name] = b"3"
    await world.retry()
    assert everything(world) == {"stored": 0, "queued": 1, "dead": 0}
    assert world.queue.items[0].reason == "crashes the worker"
    corrected = fresh("corrected", beside=world)
    await corrected.retry()
    assert everything(corrected) == {"stored": 1, "queued": 0, "dead": 0}
    known = World()
    put(known, *good(1), crashes=1)
    known.blobs.claim_checks[name] = b"3"
    await known.retry()
    assert everything(known) == {"stored": 0, "queued": 0, "dead": 1}


async def test_hole_02_what_explodes_on_every_event_waits_too() -> None:
    """A decoder that raises on everything: from the 20th on events are not tried again and again."""

    def hook(bodies: list[bytes]) -> list[object]:
        raise TypeError("no such schema")

    world = fresh(hook=hook)
    await world.score(*good(*range(20)))
    assert [item.braked is not None for item in world.queued] == [True] * 20
    few = fresh(hook=hook)
    await few.score(*good(*range(19)))
    assert [item.braked is not None for item in few.queued] == [False] * 19
    for _ in range(4):
        await few.retry()
    assert everything(few) == {"stored": 0, "queued": 19, "dead": 0}
    assert {item.unexpected for item in few.queued} == {3}
    assert all(item.braked for item in few.queued)


async def test_what_the_store_answers_unexpectedly_is_tried_on_while_the_brake_is_on() -> None:
    """No configuration is to blame for it, and it may pass at any time."""
    world = fresh()
    world.store.refuses = Unexpected(Stage.STORE, "store answers 405")
    await world.score(*good(*range(30)))
    assert world.verdict.state is State.BRAKED
    assert {item.braked for item in world.queue.items} == {None}
    for _ in range(3):
        await world.retry()
    assert everything(world) == {"stored": 0, "queued": 30, "dead": 0}
    assert all(item.braked for item in world.queue.items)


# What waits.


async def test_hole_02_what_waits_is_looked_at_ever_more_seldom_and_not_processed() -> None:
    """First after some seconds, after a day every 15 minutes; model, store and blobs are left alone."""
    world = fresh(stream=WRONG)
    await world.score(*good(1))
    calls = (world.models.model.calls.copy(), len(world.store.batches), dict(world.blobs.claim_checks))
    delays = []
    for hours in (0, 0.01, 0.1, 20):
        delays.append(world.queue.messages[0][1])
        let_pass(world, hours=hours)
        await world.retry()
    assert all(11 <= delay <= 15 for delay in delays[:2])
    assert 30 <= world.queue.messages[0][1] <= 900
    assert calls == (world.models.model.calls, len(world.store.batches), world.blobs.claim_checks)
    let_pass(world, hours=3.88)
    await world.retry()
    assert world.queue.messages[0][1] < 60  # not later than the end of its time


async def test_hole_02_what_waits_and_what_does_not_part_in_one_message() -> None:
    """The one goes back as it is, the other is stored."""
    world = World()
    put(world, *bad(1), braked=Braked(at=ago(), configuration="c"))
    waiting = world.queue.items
    world.blobs.verdicts.clear()
    world.queue.messages.clear()
    put(world, *waiting, *good(2))
    [summary] = await world.retry()
    assert (summary.received, summary.stored, summary.queued, summary.braked) == (2, 1, 1, 1)
    assert world.sequence_numbers() == {"stored": [2], "queued": [1], "dead": []}


@pytest.mark.parametrize("at", ["", "yesterday", "2999-01-01T00:00:00.000Z"])
async def test_a_wait_without_a_beginning_ends_all_the_same(at) -> None:
    """Where it cannot be read, the wait counts from when the item entered the queue; none begins in the future."""
    world = fresh()
    put(world, *bad(1), braked=Braked(at=at, configuration="new"), queued_at=ago(hours=25))
    await world.retry()
    future = at.startswith("2999")
    assert everything(world) == {"stored": 0, "queued": int(future), "dead": int(not future)}


async def test_hole_02_after_its_time_an_event_is_tried_and_only_then_a_dead_letter() -> None:
    """The last try stores it where it can; a store that is out meanwhile gives it no second day."""
    world = fresh()
    since = Braked(at=ago(hours=25), configuration="new")
    put(world, *good(1), *bad(2), braked=since)
    with world.store.refusing(Throttled(Stage.STORE, "throttled", retry_after=3)):
        await world.retry()
    assert world.sequence_numbers() == {"stored": [], "queued": [1], "dead": [2]}
    assert world.queue.messages[0][1] >= 3
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [], "dead": [2]}


async def test_hole_02_with_no_brake_hours_there_is_no_brake() -> None:
    """BRAKE_HOURS=0: what fails for good is a dead letter at once, from the hub and from the queue."""
    world = fresh(brake=timedelta(0))
    await world.score(*bad(*range(30)))
    put(world, *bad(30))
    await world.retry()
    assert everything(world) == {"stored": 0, "queued": 0, "dead": 31}
    assert not world.blobs.verdicts


async def test_what_an_older_release_braked_begins_anew() -> None:
    """It did not say under which configuration; the present one has a day for it."""
    world = fresh()
    put(world, *good(1), *bad(2), braked=Braked(at=ago(hours=30), configuration=""))
    await world.retry()
    assert world.sequence_numbers() == {"stored": [1], "queued": [2], "dead": []}
    assert world.queue.items[0].braked
    assert world.queue.items[0].braked.configuration == "new"


async def test_a_claim_check_that_has_expired_waits_for_no_verdict() -> None:
    """No configuration brings a body back."""
    world = fresh()
    pointer = Item(blob="items/gone", source=source_of(1), braked=Braked(at=ago(), configuration="old"))
    put(world, pointer)
    await world.retry()
    [letter] = world.blobs.letters
    assert letter.item.reason == "body expired"


async def test_hole_08_what_nobody_foresaw_is_no_dead_letter_within_ten_minutes() -> None:
    """Three tries are over within seconds; an error that passes in ten minutes harms no event."""
    world = World(unexpected=timedelta(minutes=10))
    world.store.refuses = Unexpected(Stage.STORE, "store answers 421")
    await world.score(*good(1), item_of(2))
    for _ in range(8):
        await world.retry()
    assert everything(world) == {"stored": 0, "queued": 2, "dead": 0}
    let_pass(world, minutes=9)
    await world.retry()
    assert everything(world)["queued"] == 2
    let_pass(world, minutes=2)
    await world.retry()
    assert everything(world) == {"stored": 0, "queued": 0, "dead": 2}
    few = World(unexpected=timedelta(minutes=10))
    put(few, item_of(1, bomb=True), queued_at=ago(minutes=20))
    await few.retry()
    assert everything(few)["queued"] == 1  # old enough, but tried once


# How bodies are counted.


def record(number: int, index: int, failure: Failure | None, *, scored: bool = False) -> Event:
    """A record of the body with that number."""
    source = msgspec.structs.replace(source_of(number), index=index)
    scores = {"toy": Scores("1", "0", None, 1.0, {})} if scored else None
    return Event(Item(body=b"x", source=source, scores=scores), failure=failure)


def test_hole_05_a_body_of_many_records_counts_as_one() -> None:
    """It has failed where most of its records failed alike; 20,000 zeros weigh no more than one good event, in one slice or in many."""
    zero = Permanent(Stage.DECODE, "not an object")
    other = Permanent(Stage.DECODE, "id is null")
    zeros = [record(1, index, zero) for index in range(20_000)]
    fine = [record(number, 0, None, scored=True) for number in range(2, 257)]
    assert tally_of([*zeros, *fine]) == Tally(bodies=256, scored=True, failed={"decode: not an object": 1})
    mostly_good = [record(1, index, zero if index < 50 else None, scored=True) for index in range(101)]
    assert tally_of(mostly_good).failed == {}
    split = [record(1, index, zero if index % 2 else other) for index in range(4)]
    assert tally_of(split).failed == {}
    singles = [record(number, 0, zero) for number in range(3)]
    assert tally_of(singles).failed == {"decode: not an object": 3}
    rest = [record(1, index, zero) for index in range(500, 900)]
    assert tally_of([*rest, *fine]) == Tally(bodies=255, scored=True)
    waits = [record(number, 0, OUT) for number in range(3)]
    assert tally_of(waits) == Tally(bodies=3)


async def test_hole_05_one_body_of_bad_records_brakes_no_healthy_deployment() -> None:
    """60 bad records in one body, some good bodies beside it: the records are dead letters at once."""
    world = World(stream=stream_of(unwrap="array"))
    records = b",".join(body_of(number, pk=None) for number in range(60))
    bodies = [b"[" + records + b"]", *(b"[" + body_of(number) + b"]" for number in range(60, 70))]
    summary = await world.score(*(item_of(number, body) for number, body in enumerate(bodies)))
    assert (summary.stored, summary.dead_lettered, summary.braked) == (10, 60, 0)


async def test_hole_02_a_batch_that_comes_again_is_counted_once() -> None:
    """While no place answers, one bad event is delivered time and again, and stays one."""
    world = fresh()
    for count in range(30):
        await world.score(*bad(1), retry=RetryState(count, endless=True, previous="NoPlaceAnswersError"))
    assert world.verdict.total.bodies == 1
    assert world.verdict.state is State.UNPROVEN


async def test_hole_02_what_of_a_batch_was_not_reached_is_counted_when_it_comes_again() -> None:
    """Its third slice found no place: what comes after it is met for the first time with the next try."""
    world = fresh(memory=1)  # a slice for each event
    items = [*good(1, 2), item_of(3, pad=LARGE), *good(*range(4, 9))]
    for count in range(3):
        with world.store.refusing(), world.blobs.refusing(), pytest.raises(NoPlaceAnswersError):
            await world.score(
                *deepcopy(items), retry=RetryState(count, endless=True, previous=HELD * (count > 0))
            )
    await world.score(*items, retry=RetryState(3, endless=True, previous=HELD))
    assert (world.verdict.total.bodies, world.verdict.state) == (8, State.WELL)


def put(world: World, *items: Item, **fields: Any) -> None:
    """One message of the retry queue."""
    for item in items:
        item.queued_at = item.queued_at or ago(seconds=5)
        for name, value in fields.items():
            setattr(item, name, value)
    world.queue.messages += [(packed.message, 0.0) for packed in pack(items)[0]]


@pytest.mark.parametrize(
    ("waited", "low", "high"),
    [(0, 11.25, 15), (60, 11.25, 15), (120, 22.5, 30), (3_600, 675, 900), (86_400, 675, 900)],
)
def test_a_look_comes_after_a_quarter_of_the_wait(waited, low, high) -> None:
    """At least 15 seconds and at most 15 minutes, up to a quarter sooner by chance."""
    since = timedelta(seconds=waited)
    assert (backoff.look(since, 1.0), backoff.look(since, 0.0)) == (low, high)
    assert low <= backoff.look(since) <= high


async def test_hole_02_a_verdict_that_was_written_but_not_read_lets_go_what_was_braked_meanwhile() -> None:
    """A worker reads a verdict every 10 s: what it brakes in between waits for no later one to be written."""
    blobs = FakeBlobs()
    obeyed = Verdicts(blobs, "c")
    await obeyed.get()
    await asyncio.sleep(0.002)
    verdict = Verdict(configuration="c", state=State.WELL, at=times.milliseconds_text(times.now()))
    blobs.verdicts["c"] = (msgspec.json.encode(verdict), 1)
    await asyncio.sleep(0.002)
    patience = Patience(
        give_up=timedelta(days=7), brake=timedelta(hours=24), unexpected=timedelta(minutes=10)
    )
    item = item_of(1)
    assert await Brake(obeyed, patience).holds(item)
    assert await Brake(Verdicts(blobs, "c"), patience).waiting([item]) == []
