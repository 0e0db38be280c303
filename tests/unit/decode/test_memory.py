"""The budget that all batches of a process share for what they unpack."""

from __future__ import annotations

import asyncio
import json
import tracemalloc

import pytest

from everscore.decode.json_text import parse_json
from everscore.decode.memory import Memory, Share, parsed_size


async def test_shares_together_never_exceed_the_total() -> None:
    """However many ask, what is in use at a time stays within the total, and each gets its turn in order."""
    memory = Memory(100)
    in_use, most, order = 0, 0, []

    async def use(number: int, size: int) -> None:
        nonlocal in_use, most
        share = await memory.share(size)
        order.append(number)
        in_use += share.size
        most = max(most, in_use)
        for _ in range(3):
            await asyncio.sleep(0)
        in_use -= share.size
        share.close()

    await asyncio.gather(*(use(number, 10 + 7 * (number % 13)) for number in range(60)))
    assert order == list(range(60))
    assert 50 < most <= 100
    assert (await memory.share(100)).size == 100


async def test_what_is_larger_than_the_total_is_alone() -> None:
    """Whoever needs more than there is gets all of it, once nobody else has any, and may go beyond it once."""
    memory = Memory(100)
    other = await memory.share(1)
    waiting = asyncio.create_task(memory.share(1_000))
    await asyncio.sleep(0)
    assert not waiting.done()
    other.close()
    share = await waiting
    assert share.size == 100
    assert not share.take(1_000)
    assert share.take(1_000, first=True)


async def test_a_share_grows_while_nobody_waits() -> None:
    """What is left may be taken by whoever is at work, but not from under the one who stands in line."""
    memory = Memory(100)
    share = await memory.share(10)
    assert share.take(30)
    assert not share.take(71)
    waiting = asyncio.create_task(memory.share(80))
    await asyncio.sleep(0)
    assert not share.take(1)
    share.give_back(5)
    share.shrink()
    await asyncio.sleep(0)
    assert not waiting.done()  # 75 are free
    share.give_back(5)
    share.shrink()
    assert (await waiting).size == 80


@pytest.mark.parametrize("granted", [True, False])
async def test_whoever_stops_waiting_leaves_the_line(granted) -> None:
    """An invocation that is cancelled takes nothing with it, even if its turn came in the same moment."""
    memory = Memory(100)
    first = await memory.share(60)
    cancelled = asyncio.create_task(memory.share(90))
    behind = asyncio.create_task(memory.share(40))
    await asyncio.sleep(0)
    if granted:
        first.close()
    cancelled.cancel()
    assert (await behind).size == 40
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    behind.result().close()
    if not granted:
        first.close()
    assert (await memory.share(100)).size == 100


def test_without_a_budget_everything_fits() -> None:
    """Tools that decode a few events at a time need no budget."""
    assert Share().take(1 << 60)


@pytest.mark.parametrize(
    "payload",
    [
        [{}] * 3_000,
        [[]] * 3_000,
        [[[[]]]] * 3_000,
        [{"a": 1}] * 3_000,
        [{"a": {}, "b": [0.5], "c": "x"}] * 1_000,
        [number * 1_000 for number in range(3_000)],
        [number / 7 for number in range(3_000)],
        ["ab"] * 3_000,
        {f"name {number}": number * 1_000 for number in range(3_000)},
        {f"n{number}": None for number in range(3_000)},
        {"text": "x" * 30_000},
        {"text": "\U0001f600" * 9_000},
    ],
    ids=lambda payload: repr(payload)[:24],
)
def test_hole_06_a_text_is_reckoned_for_no_less_than_it_takes(payload) -> None:
    """Whatever a body is made of, the memory of its values and of its document's text is reserved before."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    tracemalloc.start()
    values = parse_json(text)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert values[0] == payload
    assert taken + 2 * len(text) <= parsed_size(text) < 8 * (taken + 2 * len(text))


async def test_a_closed_share_gets_no_more() -> None:
    """A thread that nobody waits for any longer may still have it: what it asks for would never come back."""
    memory = Memory(100)
    share = await memory.share(100)
    share.close()
    assert not share.take(1)
    assert not share.take(1, first=True)
    whole = await memory.share(100)
    assert whole.take(100)
