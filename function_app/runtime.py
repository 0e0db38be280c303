"""Builds the pipeline from settings and adapters, once a process and event loop, on first use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from everscore import times
from everscore.deadline import Deadline
from everscore.failures import Configuration, EverscoreError, ManifestError, SettingError, Stage
from everscore.health import Report, examine
from everscore.status import decode_status
from function_app import event_dates, trigger_data

if TYPE_CHECKING:
    import azure.functions as func

    from everscore.adapters.blobs import StorageBlobs
    from everscore.adapters.cosmos import CosmosStore
    from everscore.adapters.credentials import Credentials
    from everscore.adapters.hub import HubReader
    from everscore.adapters.queue import StoragePoisonQueue, StorageQueue
    from everscore.envelope import Source
    from everscore.housekeeping import Housekeeping
    from everscore.model_source import ModelSource
    from everscore.pipeline import Pipeline
    from everscore.ports import HubEvent
    from everscore.retrying import Retrying
    from everscore.settings import Settings
    from everscore.status import Status

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
# One run of the timer must end before the next begins.
_HOUSEKEEPING_SECONDS = 50.0
_NOISY = ("azure.core", "azure.cosmos", "azure.identity", "azure.storage", "azure.eventhub")


@dataclass(frozen=True)
class Runtime:
    """Everything that outlives an invocation."""

    settings: Settings
    credentials: Credentials
    store: CosmosStore
    queue: StorageQueue
    poison: StoragePoisonQueue
    blobs: StorageBlobs
    hub: _Hub
    models: ModelSource
    pipeline: Pipeline
    retrying: Retrying
    keeper: Housekeeping
    scoring_status: Status
    retry_status: Status
    fast_dates: bool

    async def close(self) -> None:
        """Close every client."""
        for client in (self.store, self.queue, self.poison, self.blobs, self.hub, self.credentials):
            await client.close()


class _Hub:
    """The hub beside the trigger, connected when it is first needed: seldom, and its SDK loads slowly."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._reader: HubReader | None = None

    async def fetch(self, source: Source) -> HubEvent | None:
        """See everscore.ports.Hub."""
        if self._reader is None:
            from everscore.adapters.hub import HubReader  # noqa: PLC0415

            self._reader = HubReader(
                self._settings.eventhub_connection(),
                self._settings.eventhub_name,
                credentials=self._credentials,
            )
        return await self._reader.fetch(source)

    async def close(self) -> None:
        """Close the client, if there is one."""
        if self._reader is not None:
            await self._reader.close()


_runtimes: dict[asyncio.AbstractEventLoop, Runtime] = {}


def get() -> Runtime:
    """This event loop's runtime.

    Clients belong to the loop that they were made in, and to the process: they are never made per invocation.

    Raises:
        SettingError: a setting is missing or wrong.
        ManifestError: stream.json is missing or wrong.
    """
    loop = asyncio.get_running_loop()
    runtime = _runtimes.get(loop)
    if runtime is None:
        for closed in [each for each in _runtimes if each.is_closed()]:
            del _runtimes[closed]
        runtime = _runtimes[loop] = _build()
    return runtime


async def close() -> None:
    """Close this loop's runtime, if there is one."""
    runtime = _runtimes.pop(asyncio.get_running_loop(), None)
    if runtime is not None:
        await runtime.close()


def _build() -> Runtime:
    # Imported here: a worker that only answers /api/health, or that cannot be configured, needs none of it.
    from everscore.adapters.blobs import StorageBlobs  # noqa: PLC0415
    from everscore.adapters.cosmos import CosmosStore  # noqa: PLC0415
    from everscore.adapters.credentials import Credentials  # noqa: PLC0415
    from everscore.adapters.queue import StoragePoisonQueue, StorageQueue  # noqa: PLC0415
    from everscore.breaker import BreakingStore, State  # noqa: PLC0415
    from everscore.claim_checks import ClaimChecks  # noqa: PLC0415
    from everscore.events import Decoder, load_hook  # noqa: PLC0415
    from everscore.housekeeping import Housekeeping  # noqa: PLC0415
    from everscore.model_source import ModelSource  # noqa: PLC0415
    from everscore.pipeline import Limits, Pipeline  # noqa: PLC0415
    from everscore.placing import Placing  # noqa: PLC0415
    from everscore.processing import Processing  # noqa: PLC0415
    from everscore.retrying import Patience, Retrying  # noqa: PLC0415
    from everscore.settings import load_settings  # noqa: PLC0415
    from everscore.status import Status  # noqa: PLC0415
    from everscore.storing import Storing  # noqa: PLC0415
    from everscore.stream import load_stream  # noqa: PLC0415

    for name in _NOISY:
        logging.getLogger(name).setLevel(
            logging.WARNING
        )  # a log line a request would cost more than the request
    settings = load_settings()
    stream = load_stream(ROOT / "stream.json")
    storage = settings.storage_connection()
    cosmos = settings.cosmos_connection()
    credentials = Credentials()
    store = CosmosStore(
        cosmos,
        settings.cosmos_database,
        settings.cosmos_container,
        timeout=settings.cosmos_timeout_seconds,
        credentials=credentials,
    )
    breaking = BreakingStore(
        store, failures=settings.breaker_failures, longest_pause=settings.breaker_pause_seconds
    )
    timeout = settings.storage_timeout_seconds
    queue = StorageQueue(storage, settings.retry_queue, timeout=timeout, credentials=credentials)
    poison = StoragePoisonQueue(storage, settings.retry_queue, timeout=timeout, credentials=credentials)
    blobs = StorageBlobs(
        storage,
        dead_letters=settings.deadletter_container,
        claim_checks=settings.claimcheck_container,
        timeout=timeout,
        credentials=credentials,
    )
    decoder = Decoder(
        stream,
        decompressed_limit=settings.decompressed_limit_mib * 1024 * 1024,
        hook=load_hook(settings.decoder) if settings.decoder else None,
    )
    models = ModelSource(ROOT / "models" / stream.model, threads=settings.model_threads)
    processing = Processing(
        decoder=decoder, models=models, storing=Storing(breaking, parallel=settings.cosmos_parallel_batches)
    )
    placing = Placing(queue, blobs)
    hub = _Hub(settings, credentials)
    claim_checks = ClaimChecks(blobs, hub)
    limits = Limits(
        batch_deadline=settings.batch_deadline_seconds,
        time_budget=settings.time_budget_seconds,
        brake_minimum=settings.brake_minimum_events,
        linger=settings.linger_seconds,
    )
    patience = Patience(
        give_up=timedelta(days=settings.retry_give_up_days), brake=timedelta(hours=settings.brake_hours)
    )
    interval = settings.status_interval_seconds
    scoring_status = Status("score_events", blobs, interval=interval, has_policy=True)
    retry_status = Status("retry_events", blobs, interval=interval, has_policy=False)
    return Runtime(
        settings=settings,
        credentials=credentials,
        store=store,
        queue=queue,
        poison=poison,
        blobs=blobs,
        hub=hub,
        models=models,
        pipeline=Pipeline(
            processing=processing,
            placing=placing,
            status=scoring_status,
            limits=limits,
            store_is_out=lambda: breaking.state is not State.CLOSED,
        ),
        retrying=Retrying(
            processing=processing,
            placing=placing,
            queue=queue,
            blobs=blobs,
            claim_checks=claim_checks,
            status=retry_status,
            limits=limits,
            patience=patience,
        ),
        keeper=Housekeeping(
            poison=poison, queue=queue, placing=placing, claim_checks=claim_checks, patience=patience
        ),
        scoring_status=scoring_status,
        retry_status=retry_status,
        fast_dates=settings.fast_event_dates and event_dates.install(),
    )


async def score_events(events: Sequence[func.EventHubEvent], context: func.Context) -> None:
    """What the trigger of the same name does."""
    retry = trigger_data.retry_state_of(context)
    try:
        runtime = get()
    except (SettingError, ManifestError) as error:
        logger.critical("No event can be scored: %s", error)
        if not retry.endless:
            # Raised now, the batch would be lost; whoever mends the settings restarts the app meanwhile.
            await asyncio.sleep(_budget_without_settings())
        raise
    trace = context.trace_context.trace_parent if context.trace_context else None
    items = trigger_data.items_of(events, runtime.settings.eventhub_name, trace)
    try:
        summary = await runtime.pipeline.score_events(items, retry)
    finally:
        await runtime.scoring_status.write()  # above all when no place took the batch
    level = logging.WARNING if summary.queued or summary.dead_lettered else logging.DEBUG
    logger.log(level, "%s", summary)


async def retry_events(message: func.QueueMessage) -> None:
    """What the trigger of the same name does."""
    runtime = get()
    summary = await runtime.retrying.retry_events(
        message.get_body(), dequeue_count=message.dequeue_count or 1, message_id=message.id or ""
    )
    level = logging.WARNING if summary.dead_lettered else logging.DEBUG
    logger.log(level, "%s", summary)
    await runtime.retry_status.write()


async def housekeeping() -> None:
    """What the trigger of the same name does."""
    await get().keeper.empty_poison_queue(Deadline.after(_HOUSEKEEPING_SECONDS))


async def health_details() -> Report:
    """What the trigger of the same name answers."""
    try:
        runtime = get()
    except EverscoreError as error:
        message = str(error)

        async def wrong() -> str:
            raise SettingError(message)

        return await examine({"settings": wrong})

    async def settings() -> str:
        return f"valid; dates of events are read the {'short' if runtime.fast_dates else 'long'} way"

    async def cosmos() -> str:
        await runtime.store.check()
        return f"{runtime.settings.cosmos_database}/{runtime.settings.cosmos_container}"

    async def queue() -> str:
        return f"{runtime.queue.name}: about {await runtime.queue.depth()} messages"

    async def blobs() -> str:
        await runtime.blobs.check()
        return f"{runtime.settings.deadletter_container}, {runtime.settings.claimcheck_container}"

    async def model() -> str:
        loaded = await runtime.models.get()
        return f"{loaded.name} {loaded.version}, SHA-256 {loaded.sha256}"

    async def scoring() -> str:
        return await _reported(runtime, "score_events")

    async def retrying() -> str:
        return await _reported(runtime, "retry_events")

    return await examine(
        {
            "settings": settings,
            "cosmos": cosmos,
            "queue": queue,
            "blobs": blobs,
            "model": model,
            "score_events": scoring,
            "retry_events": retrying,
        }
    )


async def _reported(runtime: Runtime, function: str) -> str:
    """What a function says of itself; it may run on other instances, so its status blob is asked."""
    data = await runtime.blobs.get_status(function)
    if data is None:
        return "has not run yet"
    report = decode_status(data)
    if report.retry_policy is False:
        raise Configuration(
            Stage.RETRY,
            "retry policy missing",
            "score_events runs without its endless retry policy: restore @app.retry with max_retry_count -1",
        )
    hour_ago = times.milliseconds_text(times.now() - timedelta(hours=1))
    if report.braked_at and report.braked_at > hour_ago:
        raise Configuration(
            Stage.VALIDATE,
            "brake",
            f"on at {report.braked_at}, since most of a batch failed: {report.brake_reason}",
        )
    if report.no_place_at and report.no_place_at > hour_ago:
        raise Configuration(
            Stage.RETRY,
            "no place answered",
            f"at {report.no_place_at} for {report.no_place}; the batch was held",
        )
    counts = (
        f"{report.received} events, {report.stored} stored, {report.superseded} superseded, "
        f"{report.queued} to retry, {report.dead_lettered} dead-lettered since its instance started"
    )
    last = f"; last failure {report.last_failure} at {report.last_failure_at}" if report.last_failure else ""
    return f"at {report.at}: {counts}{last}"


def _budget_without_settings() -> float:
    from everscore.settings import Settings  # noqa: PLC0415

    return float(Settings.model_fields["time_budget_seconds"].default)
