"""The course of a run: first flight, steady rate, full speed with a throttled store, drain, account."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from azure.cosmos.aio import ContainerProxy

from everscore.config.settings import load_settings
from everscore_cli.clients import hub, storage, store
from everscore_cli.demo import figures
from everscore_cli.demo.drain import Services, Waiting, check_alive, drain
from everscore_cli.demo.gateway import Gateway, gateway
from everscore_cli.demo.plan import Plan, Planned
from everscore_cli.demo.read_back import StoredDocument, read_documents, read_hub, read_letters
from everscore_cli.demo.reconcile import Account, reconcile
from everscore_cli.errors import CliError
from everscore_cli.observe import hub_ends
from everscore_cli.producer import Sender, send_paced, sender
from everscore_local.stack import Stack

THROTTLE_RUS = 400
THROTTLE_SECONDS = 6.0
# The store is throttled once it has so much of what is sent at full speed.
THROTTLE_AFTER = 0.6
FIRST_SECONDS = 60.0
DRAIN_SECONDS = 110.0
_POLL_SECONDS = 0.2
SHOWN = 5


class Progress:
    """What the course tells about itself as it goes; this one is silent."""

    def begin(self, phase: str, total: int) -> None:
        """A phase begins."""

    def sent(self, phase: str, count: int) -> None:
        """The hub took so many more events."""

    def stored(self, documents: int) -> None:
        """The store holds so many documents now."""

    def throttled(self, seconds: float) -> None:
        """The store is throttled now, for so long."""

    def waiting(self, waiting: Waiting) -> None:
        """So much is still on its way."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found.

    Attributes:
        account: of every event, by id.
        waiting: what was still on its way at the end.
        first: from enqueue to stored for the very first event, in seconds: the cold start.
        steady: latency at the steady rate.
        sending: events a second that the hub took at full speed.
        full: the longest stretch at full speed without throttling: from the first event sent then until the
            store was throttled.
        throttled_requests: requests that the store answered with 429.
        seconds: from the first event to the end of the drain.
        documents: a few of the stored documents.
        letter: one dead letter, with its way of being malformed; None where there is none.
    """

    account: Account
    waiting: Waiting
    first: float | None
    steady: figures.Latency | None
    sending: float
    full: figures.Throughput
    throttled_requests: int
    seconds: float
    documents: list[dict[str, Any]]
    letter: dict[str, Any] | None


async def run_course(stack: Stack, plan: Plan, rate: float, progress: Progress) -> Outcome:
    """Send all events of the plan through the stack, wait for the end of each, and give account.

    Raises:
        CliError: the first event was not stored in time, or a part died.
    """
    settings = load_settings(stack.settings())
    async with AsyncExitStack() as clients:
        enter = clients.enter_async_context
        control = await enter(gateway(stack))
        target = await enter(sender(settings))
        documents = await enter(store.documents(settings))
        blobs = await enter(storage.blobs(settings))
        queues = await enter(storage.queues(settings))
        consumer = await enter(hub.consumer(settings))
        watch = _Watch(stack, control, progress)
        await enter(watch)

        began = time.monotonic()
        await _first(target, watch, plan.first)
        await _steady(target, plan.steady, rate, progress)
        sending, full_began, throttled_at = await _full(target, watch, plan.full, progress)
        ends = await hub_ends(consumer)
        services = Services(settings, blobs, queues)
        waiting = await drain(stack, services, ends, DRAIN_SECONDS, progress.waiting)
        seconds = time.monotonic() - began

        stored, letters, places, accepted, counters = await asyncio.gather(
            read_documents(documents),
            read_letters(blobs.get_container_client(settings.deadletter_container)),
            read_hub(consumer, ends),
            control.accepted(),
            control.counters(),
        )
        by_id = {document.id: document for document in stored}
        blob_names = {letter.place: letter.name for letter in letters}
        return Outcome(
            account=reconcile(plan.all, places, stored, letters, waiting.total),
            waiting=waiting,
            first=_worst(figures.latency(_of([plan.first], by_id), accepted)),
            steady=figures.latency(_of(plan.steady, by_id), accepted),
            sending=sending,
            full=figures.throughput(_accepted(_of(plan.full, by_id), accepted), full_began, throttled_at),
            throttled_requests=counters.throttled,
            seconds=seconds,
            documents=await _some_documents(documents, _of(plan.full, by_id)),
            letter=await _one_letter(blobs, settings.deadletter_container, list(blob_names.values())),
        )


async def _first(target: Sender, watch: _Watch, event: Planned) -> None:
    await target.send([event.outgoing])
    await watch.until(lambda documents: documents >= 1, FIRST_SECONDS)


async def _steady(target: Sender, events: Sequence[Planned], rate: float, progress: Progress) -> None:
    progress.begin("steady", len(events))
    await send_paced(
        target,
        [event.outgoing for event in events],
        rate,
        lambda count: progress.sent("steady", count),
    )


async def _full(
    target: Sender, watch: _Watch, events: Sequence[Planned], progress: Progress
) -> tuple[float, float, float]:
    """Returns the speed of sending, when it began, and when the store was throttled."""
    progress.begin("full", len(events))
    before = watch.documents
    throttling = asyncio.create_task(watch.throttle_at(before + int(len(events) * THROTTLE_AFTER)))
    began = time.time()
    await send_paced(
        target, [event.outgoing for event in events], None, lambda count: progress.sent("full", count)
    )
    sending = len(events) / max(time.time() - began, 1e-9)
    return sending, began, await throttling


class _Watch:
    """Looks at the store several times a second, for progress and for the moment to throttle it."""

    def __init__(self, stack: Stack, control: Gateway, progress: Progress) -> None:
        self._stack, self._control, self._progress = stack, control, progress
        self.documents = 0
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, enough: Callable[[int], bool], seconds: float) -> None:
        """Wait until the store holds enough.

        Raises:
            CliError: it does not in time, or a part died.
        """
        try:
            async with asyncio.timeout(seconds), self._changed:
                while not enough(self.documents):
                    check_alive(self._stack)
                    await self._changed.wait()
        except TimeoutError as error:
            log = self._stack.log("functions")
            raise CliError(
                f"The store holds {self.documents:,} documents after {seconds:.0f} s, too few: see {log}."
            ) from error

    async def throttle_at(self, documents: int) -> float:
        """Throttle the store once it holds so many documents. Returns when that was."""
        await self.until(lambda count: count >= documents, DRAIN_SECONDS)
        self._progress.throttled(THROTTLE_SECONDS)
        return await self._control.throttle(THROTTLE_RUS, THROTTLE_SECONDS)

    async def _look(self) -> None:
        while True:
            # A gateway that does not answer is seen by the check that all parts live.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                self.documents = (await self._control.counters()).documents
                self._progress.stored(self.documents)
            async with self._changed:
                self._changed.notify_all()
            await asyncio.sleep(_POLL_SECONDS)


def _of(events: Sequence[Planned], by_id: Mapping[str, StoredDocument]) -> list[StoredDocument]:
    return [by_id[event.id] for event in events if event.id is not None and event.id in by_id]


def _accepted(documents: Sequence[StoredDocument], accepted: Mapping[tuple[str, str], float]) -> list[float]:
    """When the store accepted these documents."""
    keys = ((document.pk, document.id) for document in documents)
    return [accepted[key] for key in keys if key in accepted]


def _worst(latency: figures.Latency | None) -> float | None:
    return latency.worst if latency else None


async def _some_documents(
    container: ContainerProxy, stored: Sequence[StoredDocument]
) -> list[dict[str, Any]]:
    """A few whole documents from all over the run."""
    step = max(1, len(stored) // SHOWN)
    chosen = [stored[index] for index in range(0, len(stored), step)][:SHOWN]
    return [dict(await container.read_item(document.id, document.pk)) for document in chosen]


async def _one_letter(blobs: Any, container: str, names: Sequence[str]) -> dict[str, Any] | None:
    if not names:
        return None
    blob = blobs.get_blob_client(container, sorted(names)[len(names) // 2])
    content = await (await blob.download_blob()).readall()
    letter: dict[str, Any] = json.loads(content)
    return {"blob": blob.blob_name, **letter}
