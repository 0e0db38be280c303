"""The promises together: whatever refuses and crashes, every event ends in exactly one place."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from everscore import backoff
from everscore.envelope import decode_envelope, decode_item
from everscore.failures import Configuration, Permanent, Stage, Throttled, Transient
from everscore.pipeline import NoPlaceAnswersError, RetryState
from everscore.retrying import Patience
from tests.fakes import OUT, World, body_of, item_of, stream_of

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
        "large": {"pad": "x" * 40_000},
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
    world.blobs.refuses = faults.get("blobs")
    # The model source promises nothing but failures.
    model = faults.get("models")
    world.models.refuses = Transient(Stage.SCORE, "model missing") if model else None
    world.blobs.reads_refuse = faults.get("reads")
    world.blobs.letters_refuse = faults.get("letters")


@settings(max_examples=100, deadline=None)
@given(
    kinds=st.lists(KINDS, min_size=1, max_size=8),
    steps=STEPS,
    unwrap=st.booleans(),
    brake_minimum=st.sampled_from([2, 100]),
)
@example(
    kinds=["large", "no key", "bomb"],
    steps=[({}, "hub unread", 1), ({"queue": OUT, "store": OUT}, "retry", 1)],
    unwrap=True,
    brake_minimum=100,
)
@example(
    kinds=["no json", "no key"],
    steps=[({"blobs": OUT}, "hub", 1), ({"reads": OUT, "letters": OUT}, "retry", 1)],
    unwrap=False,
    brake_minimum=100,
)
def test_every_event_ends_in_exactly_one_place(kinds, steps, unwrap, brake_minimum) -> None:
    """After any faults, crashes and repeats, drained: each event is stored, superseded or a dead letter."""
    asyncio.run(_run(kinds, steps, unwrap=unwrap, brake_minimum=brake_minimum))


async def _run(kinds, steps, *, unwrap: bool, brake_minimum: int) -> None:
    stream = stream_of(unwrap="array" if unwrap else "object")
    world = World(stream=stream, brake_minimum=brake_minimum)
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
    world.retrying._patience = _impatient(world)
    for _ in range(12):
        world.poison.end_leases()
        await world.keep()
        await world.retry()
    assert not world.queue.messages
    assert not world.poison.left
    _exactly_one_place(world, kinds, batch, bodies)


def _impatient(world: World):
    """From now on the brake lets go, so that a drained pipeline shows where everything ends."""
    return Patience(give_up=timedelta(days=7), brake=timedelta(0))


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
    newest = max((number for number, each in enumerate(bodies) if b'"same"' in each), default=None)
    for number, each in enumerate(bodies):
        is_stored = number in (indexes if unwrap else stored)
        overtaken = b'"same"' in each and newest in (indexes if unwrap else stored)
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
