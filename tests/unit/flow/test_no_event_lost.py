"""The promises together: whatever refuses and crashes, every event ends in exactly one place."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from everscore.clock import backoff
from everscore.event.item import Item
from everscore.failures import Configuration, Permanent, Stage, Throttled, Transient
from everscore.flow.ending import NoPlaceAnswersError
from everscore.flow.score_events import RetryState
from everscore.ports import HubEvent
from everscore.retry.claim_checks import decode_item
from everscore.retry.envelope import decode_envelope
from tests.fakes import LARGE, OUT, World, body_of, item_of, payload_of, source_of, stream_of
from tests.support.interference import CALLS, LOST, End, Interference

KINDS = st.sampled_from(["good", "large", "no key", "no json", "nan", "bomb", "same id", "gone bad"])
REFUSALS = st.sampled_from(
    [
        OUT,
        Throttled(Stage.STORE, "throttled", retry_after=60),
        Configuration(Stage.STORE, "container missing"),
        RuntimeError("nobody foresaw this"),
    ]
)
# What refuses while one step runs.
FAULTS = st.dictionaries(
    st.sampled_from(["store", "queue", "blobs", "models", "reads", "letters"]), REFUSALS, max_size=3
)
STEPS = st.lists(
    st.tuples(FAULTS, st.sampled_from(["hub", "hub unread", "retry", "retry", "poison"]), st.integers(1, 7)),
    max_size=6,
)


def body(kind: str, number: int) -> bytes:
    """The body of an event of one kind."""
    fields = {
        "large": {"pad": LARGE},
        "no key": {"pk": None},
        "nan": {"nan": True},
        "bomb": {"bomb": True},
        "same id": {"id": "same"},
    }
    return b"{" if kind == "no json" else body_of(number, **fields.get(kind, {}))


def inject(world: World, faults) -> None:
    """Let the named parts refuse, and the others answer."""
    world.store.refuses = faults.get("store")
    world.queue.refuses = faults.get("queue")
    world.blobs.refuses = world.blobs.verdicts_refuse = faults.get("blobs")
    # The model source promises nothing but failures.
    model = faults.get("models")
    world.models.refuses = Transient(Stage.SCORE, "model missing") if model else None
    world.blobs.reads_refuse = faults.get("reads")
    world.blobs.letters_refuse = faults.get("letters")


@settings(max_examples=100)
@given(
    kinds=st.lists(KINDS, min_size=1, max_size=8),
    steps=STEPS,
    unwrap=st.booleans(),
    proven=st.booleans(),
)
@example(
    kinds=["large", "no key", "bomb"],
    steps=[({}, "hub unread", 1), ({"queue": OUT, "store": OUT}, "retry", 1)],
    unwrap=True,
    proven=True,
)
@example(
    kinds=["no json", "no key"],
    steps=[({"blobs": OUT}, "hub", 1), ({"reads": OUT, "letters": OUT}, "retry", 1)],
    unwrap=False,
    proven=True,
)
def test_every_event_ends_in_exactly_one_place(kinds, steps, unwrap, proven) -> None:
    """After any faults, crashes and repeats, drained: each event is stored, superseded or a dead letter."""
    asyncio.run(_run(kinds, steps, unwrap=unwrap, proven=proven))


async def _run(kinds, steps, *, unwrap: bool, proven: bool) -> None:
    stream = stream_of(unwrap="array" if unwrap else "object")
    world = World(stream=stream, proven=proven)
    bodies = [body(kind, number) for number, kind in enumerate(kinds)]
    if unwrap:
        # Records of one body; a record that is no JSON would make the body none.
        bodies = [each if each != b"{" else b"[1]" for each in bodies]
        batch = [b"[" + b",".join(bodies) + b"]"]
    else:
        batch = bodies
    in_hub = True

    async def deliver(retry: RetryState) -> None:
        nonlocal in_hub
        in_hub = True  # a repeat, too, is in the hub until it has ended
        await world.score(*(item_of(place, each) for place, each in enumerate(batch)), retry=retry)
        in_hub = False

    for faults, step, dequeue_count in steps:
        inject(world, faults)
        try:
            if step == "hub":
                await deliver(RetryState(endless=True))
            elif step == "hub unread":
                await deliver(RetryState(5, endless=True, previous="Exit code 137"))
            elif step == "retry":
                await world.retry(dequeue_count=dequeue_count)
            else:
                _to_poison(world)
                world.poison.end_leases()
                await world.keep()
        except NoPlaceAnswersError:
            pass
        _nothing_is_nowhere(world, batch, bodies, in_hub=in_hub, unwrap=unwrap)
    inject(world, {})
    if in_hub:
        await deliver(RetryState(endless=True))
    world.brake._patience = timedelta(0)  # it lets go, so that a drained pipeline shows where everything ends
    for _ in range(12):
        world.poison.end_leases()
        await world.keep()
        await world.retry()
    assert not world.queue.messages
    assert not world.poison.left
    _exactly_one_place(world, kinds, batch, bodies)


def _to_poison(world: World) -> None:
    for message, _ in world.queue.messages:
        world.poison.put(base64.b64encode(message).decode())
    world.queue.messages.clear()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)


def _places(world: World) -> list[bytes]:
    """The bytes of everything in the queues and the dead letters."""
    messages = [message for message, _ in world.queue.messages]
    messages += [_decoded(message.text) for message in world.poison.left]
    items = [item for message in messages for item in decode_envelope(message).items]
    found = [
        decode_item(world.blobs.claim_checks[item.blob]).body if item.blob else item.body for item in items
    ]
    return found + [letter.item.body for letter in world.blobs.letters]


def _nothing_is_nowhere(world: World, batch, bodies, *, in_hub: bool, unwrap: bool) -> None:
    if in_hub:
        return
    places = _places(world)
    stored = {document["source"]["sequenceNumber"] for document in world.stored.values()}
    indexes = {document["source"]["index"] for document in world.stored.values()}
    ended = indexes if unwrap else stored
    same = {number for number, each in enumerate(bodies) if b'"same"' in each}
    for number, each in enumerate(bodies):
        is_stored = number in ended
        overtaken = number in same and any(newer > number for newer in same & ended)
        # A whole body in the queue holds all of its records.
        assert is_stored or overtaken or each in places or (unwrap and batch[0] in places), number


def _exactly_one_place(world: World, kinds, batch, bodies) -> None:
    stored = {document["id"] for document in world.stored.values()}
    letters = [letter.item.body for letter in world.blobs.letters]
    if batch != bodies and batch[0] in letters:
        return  # given up as a whole, for a crash: its letter holds every record
    same = [number for number, kind in enumerate(kinds) if kind == "same id"]
    for number, kind in enumerate(kinds):
        doc_id = "same" if kind == "same id" else f"id-{number}"
        in_letters = letters.count(bodies[number])
        if kind in ("no key", "no json", "nan", "bomb"):
            assert doc_id not in stored
            assert in_letters == kinds.count(kind) if kind == "no json" else in_letters == 1
        else:
            # One that was given up as crashing is a dead letter, which counts where it was not stored.
            assert doc_id in stored or in_letters == 1
    if same and not any(bodies[number] in letters for number in same):
        assert world.stored["same"]["event"]["n"] == max(same)
    assert len(world.store.accepted) == len(set(world.store.accepted)) or same


def test_the_faults_of_this_file_are_real() -> None:
    """Each fault that the generated runs use makes its part refuse, so that the runs prove something."""

    async def scenario() -> None:
        world = World()
        for part in ("store", "queue"):
            inject(world, {part: OUT, "models": OUT} if part == "queue" else {part: OUT})
            try:
                await world.score(item_of(1))
            except NoPlaceAnswersError:
                assert part == "queue"
            else:
                assert part == "store"
                assert world.queue.messages
        inject(world, {"letters": Permanent(Stage.RETRY, "no")})
        await world.score(item_of(2, b"{"))
        assert not world.blobs.dead_letters
        assert backoff.HOLD_CAP > 0

    asyncio.run(scenario())


# Records of one body. An odd one has no form in JSON: the own decoder gives NaN for it, until that is fixed.
RECORDS = st.sampled_from(["good", "good", "large", "no key", "nan", "bomb", "odd", "large and odd"])
ANSWERS = st.lists(
    st.sampled_from(
        [None, None, OUT, LOST, Configuration(Stage.STORE, "missing"), RuntimeError("nobody foresaw this")]
    ),
    min_size=1,
    max_size=4,
)
# The store is out more often than not: what it takes at once goes nowhere else.
SOME_REFUSE = st.builds(
    lambda store, others: {"store": store, **others},
    st.sampled_from([[OUT], [OUT, None], [None]]) | ANSWERS,
    st.dictionaries(st.sampled_from(sorted(set(CALLS) - {"store"})), ANSWERS, max_size=2),
)
ENDS = (
    st.none() | st.none() | st.builds(End, st.integers(1, 12), takes_effect=st.booleans(), dies=st.booleans())
)


def step_of(*names: str) -> st.SearchStrategy:
    """A step of one of these names, with what it meets and the dequeue count of its messages."""
    return st.tuples(st.sampled_from(names), SOME_REFUSE, ENDS, st.sampled_from([1, 1, 1, 3, 7]))


FINER_STEPS = st.builds(
    lambda first, rest: [first, *rest],
    step_of("hub", "hub", "hub unread"),
    st.lists(step_of("retry", "retry", "retry", "poison", "expire", "hub", "hub unread"), max_size=7),
)


@settings(max_examples=300)
@given(
    kinds=st.lists(st.lists(RECORDS, min_size=1, max_size=4), min_size=1, max_size=4),
    steps=FINER_STEPS,
    unwrap=st.sampled_from(["array", "records"]),
    own_decoder=st.booleans(),
    fixed=st.booleans(),
    proven=st.booleans(),
)
@example(
    kinds=[["large", "good"]],
    steps=[("hub unread", {}, None, 1), ("retry", {"store": [OUT], "queue": [OUT]}, None, 1)],
    unwrap="array",
    own_decoder=False,
    fixed=False,
    proven=True,
)
@example(
    kinds=[["large and odd", "good"]],
    steps=[
        ("hub unread", {}, None, 1),
        ("retry", {"store": [OUT], "letters": [OUT], "queue": [OUT]}, None, 1),
    ],
    unwrap="array",
    own_decoder=True,
    fixed=False,
    proven=True,
)
@example(  # three deaths with its mark in place prove a suspect guilty
    kinds=[["good"]],
    steps=[
        ("hub unread", {}, None, 1),
        *[("retry", {}, End(3, takes_effect=False, dies=True), 1)] * 3,
        ("retry", {}, None, 1),
    ],
    unwrap="array",
    own_decoder=False,
    fixed=False,
    proven=True,
)
def test_every_record_ends_somewhere(*, kinds, steps, unwrap, own_decoder, fixed, proven) -> None:
    """Places that refuse now and then, lost answers, ends at any call: at no time is a record nowhere."""
    bodies = Bodies(kinds, wrapped=unwrap == "records", own_decoder=own_decoder)
    world = World(
        stream=stream_of(unwrap=unwrap),
        hook=bodies.decode if own_decoder else None,
        proven=proven,
    )
    asyncio.run(_run_finely(world, bodies, steps, fixed=fixed))


class Bodies:
    """Events of several records each, in the hub under their place in the list.

    Attributes:
        kinds: of the records, by (sequence number, index).
        of: the bodies.
        fixed: the own decoder gives a form in JSON to odd records, too.
    """

    _FIELDS = {  # noqa: RUF012 - nobody changes it
        "large": {"pad": LARGE},
        "no key": {"pk": None},
        "nan": {"nan": True},
        "bomb": {"bomb": True},
        "odd": {"odd": True},
        "large and odd": {"odd": True, "pad": LARGE},
    }

    def __init__(self, kinds: Sequence[Sequence[str]], *, wrapped: bool, own_decoder: bool) -> None:
        self.kinds = {
            (event, index): kind for event, each in enumerate(kinds) for index, kind in enumerate(each)
        }
        self.fixed = False
        self._wrapped, self._own_decoder = wrapped, own_decoder
        self.of = [self._body(event, len(each)) for event, each in enumerate(kinds)]

    def _body(self, event: int, length: int) -> bytes:
        records = [
            payload_of(10 * event + index, **self._FIELDS.get(self.kinds[event, index], {}))
            for index in range(length)
        ]
        if not self._own_decoder:
            records = [record | ({"n": float("nan")} if "odd" in record else {}) for record in records]
        text = json.dumps({"records": records} if self._wrapped else records).encode()
        return b"own:" + text if self._own_decoder else text

    def decode(self, bodies: Sequence[bytes]) -> list[object]:
        """The own decoder."""
        decoded = [json.loads(each.removeprefix(b"own:")) for each in bodies]
        for each in decoded:
            for record in each["records"] if self._wrapped else each:
                if record.get("odd") and not self.fixed:
                    record["n"] = float("nan")
        return decoded

    @staticmethod
    def id_of(place: tuple[int, int]) -> str:
        """The id of the record in this place."""
        return f"id-{10 * place[0] + place[1]}"

    def storable(self, kind: str) -> bool:
        """Whether a record of this kind may be stored in the end."""
        return kind in ("good", "large") or ("odd" in kind and self._own_decoder and self.fixed)


async def _run_finely(world: World, bodies: Bodies, steps, *, fixed: bool) -> None:
    interference = Interference(world)
    for number, each in enumerate(bodies.of):
        world.hub.events["0", number] = HubEvent(each, {}, source_of(number))
    in_hub = True
    expired: set[str] = set()
    for step, answers, end, dequeue_count in steps:
        before = set(world.blobs.claim_checks)
        if step == "expire":
            # Every other one; the marks of suspects are no claim checks.
            gone = sorted(name for name in before if not name.startswith("suspects/"))[::2]
            for name in gone:
                del world.blobs.claim_checks[name]
            expired |= set(gone)
            continue
        invocation = _invocation(world, bodies, step, dequeue_count)
        try:
            is_done = await interference.during(invocation, answers, end)
        except NoPlaceAnswersError:
            is_done = False
        if step.startswith("hub"):
            in_hub = not is_done
        expired -= set(world.blobs.claim_checks)
        if not in_hub:
            _every_record_is_somewhere(world, bodies, expired)
    bodies.fixed = fixed
    if in_hub:
        await _invocation(world, bodies, "hub", 1)
    world.brake._patience = timedelta(0)  # it lets go, so that a drained pipeline shows where everything ends
    for _ in range(14):
        world.poison.end_leases()
        await world.keep()
        await world.retry()
    assert not world.queue.messages
    assert not world.poison.left
    _every_record_is_somewhere(world, bodies, expired)
    _every_end_is_right(world, bodies)


async def _invocation(world: World, bodies: Bodies, step: str, dequeue_count: int) -> None:
    if step == "retry":
        await world.retry(dequeue_count=dequeue_count)
    elif step == "poison":
        _to_poison(world)
        world.poison.end_leases()
        await world.keep()
    else:
        unread = RetryState(5, endless=True, previous="Exit code 137")
        batch = [item_of(number, each) for number, each in enumerate(bodies.of)]
        await world.score(*batch, retry=unread if step == "hub unread" else RetryState(endless=True))


def _items(world: World) -> Iterator[Item]:
    """Everything that waits and everything that was given up."""
    for message, _ in world.queue.messages:
        yield from decode_envelope(message).items
    for message in world.poison.left:
        yield from decode_envelope(_decoded(message.text)).items
    for letter in world.blobs.letters:
        yield letter.item


def _holds(world: World, item: Item, bodies: Bodies, place: tuple[int, int], expired: set[str]) -> bool:
    """Whether an item is the record in this place, or the whole body that it is in."""
    event, index = place
    if item.source.sequence_number != event:
        return False
    if item.is_pointer and item.blob:
        if item.blob in expired:
            return True  # its bytes come from the hub
        data = world.blobs.claim_checks.get(item.blob)
        if data is None:
            return False
        item = decode_item(data)
        assert item.source.sequence_number == event, "the claim check of another event"
    if item.unwrapped:
        return json.loads(item.body)["id"] == bodies.id_of(place)
    return item.body == bodies.of[event] and item.record_index in (None, index)


def _is_stored(world: World, bodies: Bodies, place: tuple[int, int]) -> bool:
    return ("p", bodies.id_of(place)) in world.store.documents


def _every_record_is_somewhere(world: World, bodies: Bodies, expired: set[str]) -> None:
    items = list(_items(world))
    for place, kind in bodies.kinds.items():
        held = any(_holds(world, item, bodies, place, expired) for item in items)
        assert held or _is_stored(world, bodies, place), (place, kind)


def _every_end_is_right(world: World, bodies: Bodies) -> None:
    """Nothing is stored that may not be, and what may be is given up for a crash or an unforeseen error."""
    for place, kind in bodies.kinds.items():
        if _is_stored(world, bodies, place):
            assert bodies.storable(kind), (place, kind)
        elif kind in ("good", "large"):
            letters = [
                letter.item
                for letter in world.blobs.letters
                if _holds(world, letter.item, bodies, place, set())
            ]
            assert any(
                letter.body == bodies.of[place[0]]  # given up before it was taken apart
                or letter.reason == "crashes the worker"
                or (letter.reason or "").startswith("unexpected")
                for letter in letters
            ), (place, letters)


async def test_the_interference_of_this_file_is_real() -> None:
    """A lost answer is one of a call that took effect; an end cuts an invocation off, before a call or after it."""
    world = World()
    interference = Interference(world)
    with pytest.raises(NoPlaceAnswersError):
        await interference.during(world.score(item_of(1)), {"store": [OUT], "queue": [LOST]}, None)
    assert [item.id for item in world.queue.items] == ["id-1"]
    for number, takes_effect, dies in (
        (2, False, False),
        (3, False, True),
        (4, True, False),
        (5, True, True),
    ):
        end = End(1, takes_effect=takes_effect, dies=dies)
        assert not await interference.during(world.score(item_of(number)), {}, end)
        assert (("p", f"id-{number}") in world.store.documents) == takes_effect
    assert await interference.during(world.score(item_of(6)), {}, End(9, takes_effect=True, dies=True))
