"""What calls to the outside world meet: a place that refuses some of them, answers that get lost, ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from everscore.failures import Failure
from everscore.ports import WriteRefusedError
from tests.fakes import OUT, World

LOST = "the call takes effect, and its answer is lost"

# What a place does with a call: it answers (None), raises, or answers in vain (LOST).
type Answer = Exception | str | None

CALLS = {
    "store": ("write",),
    "reads": ("read",),
    "queue": ("send",),
    "letters": ("put_dead_letter", "delete_dead_letter"),
    "claim checks": ("put_claim_check",),
    "claim check reads": ("get_claim_check",),
    "hub": ("fetch",),
}


@dataclass(frozen=True)
class End:
    """The end of an invocation.

    Attributes:
        call: at which of its calls to the outside, counted from 1.
        takes_effect: whether that call still does what it is for.
        dies: the worker dies, so that nothing of it reaches the outside any more; otherwise the invocation is
            cancelled, and what it does on its way out counts.
    """

    call: int
    takes_effect: bool
    dies: bool


class Interference:
    """Stands between a world's core and its places."""

    def __init__(self, world: World) -> None:
        self._answers: dict[str, Iterator[Answer]] = {}
        self._end: End | None = None
        self._calls = 0
        self._dead = False
        self._invocation: asyncio.Task[Any] | None = None
        parts: dict[str, object] = {"store": world.store, "reads": world.store, "queue": world.queue}
        parts["hub"] = world.hub
        for place, names in CALLS.items():
            part = parts.get(place, world.blobs)
            for name in names:
                setattr(part, name, self._between(place, name, getattr(part, name)))

    async def during(
        self,
        invocation: Coroutine[Any, Any, object],
        answers: Mapping[str, Sequence[Answer]],
        end: End | None,
    ) -> bool:
        """Run an invocation.

        Args:
            invocation: as a coroutine.
            answers: of the places, each in turn, over and over; a place that is missing just answers.
            end: of the invocation, unless it has done all of its calls before.

        Returns:
            Whether it returned, so that the host counts it as done.

        Raises:
            Exception: what it raised.
        """
        self._answers = {place: itertools.cycle(each) for place, each in answers.items()}
        self._end, self._calls, self._dead = end, 0, False
        self._invocation = asyncio.create_task(invocation)
        try:
            await asyncio.wait([self._invocation])
            while rest := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(rest)  # what a dead worker had under way
            if self._invocation.cancelled():
                return False
            self._invocation.result()
            return not self._dead
        finally:
            self._answers, self._end, self._dead = {}, None, False

    def _between(self, place: str, name: str, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def call(*arguments: object) -> object:
            if self._dead:
                raise asyncio.CancelledError
            self._calls += 1
            if self._end and self._calls == self._end.call:
                await self._finish(self._end, lambda: ask(*arguments))
            answer = next(self._answers[place]) if place in self._answers else None
            if isinstance(answer, Exception):
                raise _refusal(answer, name)
            result = await ask(*arguments)
            if answer is LOST:
                raise _refusal(OUT, name)
            return result

        return call

    async def _finish(self, end: End, ask: Callable[[], Awaitable[object]]) -> None:
        if end.takes_effect:
            await ask()
        if end.dies:
            self._dead = True
            raise asyncio.CancelledError
        assert self._invocation is not None
        self._invocation.cancel()
        await asyncio.sleep(0)


def _refusal(error: Exception, name: str) -> Exception:
    """The error as the call raises it: a write alone has a form of its own for failures."""
    if name == "write" and isinstance(error, Failure):
        return WriteRefusedError(error, None)
    return error.with_traceback(None)  # raised again and again it would hold the frames of every raise
