"""Builds the pipeline from settings and adapters."""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from everscore.adapters.blobs import StorageBlobs
from everscore.adapters.cosmos import CosmosStore
from everscore.adapters.credentials import Credentials
from everscore.adapters.host_checkpoints import HostCheckpoints
from everscore.adapters.queue import StoragePoisonQueue, StorageQueue
from everscore.config.configuration_hash import configuration_hash
from everscore.config.settings import Settings, load_settings
from everscore.decode.bodies import BodyLimits
from everscore.decode.decoder import Decoder
from everscore.decode.memory import Memory
from everscore.decode.own_decoder import load_hook
from everscore.event.stream import load_stream
from everscore.flow.brake import Brake
from everscore.flow.housekeeping import Housekeeping
from everscore.flow.limits import Limits, Patience
from everscore.flow.processing import Processing
from everscore.flow.retry_events import RetryEvents
from everscore.flow.score_events import ScoreEvents
from everscore.retry.claim_checks import ClaimChecks
from everscore.retry.placing import Placing
from everscore.score.used_models import ModelInUse, first_failure, models_in_use
from everscore.store.breaker import BreakingStore, State
from everscore.store.writer import Writer
from everscore.watch.alarm import Alarm
from everscore.watch.backlog import Backlog
from everscore.watch.status import Status
from everscore.watch.verdicts import Judge, Verdicts
from function_app import event_dates, exporting, versions
from function_app.exporting import Exporting
from function_app.host_file import check_time_budget
from function_app.hub_on_demand import HubOnDemand

ROOT = Path(__file__).resolve().parent.parent
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
    hub: HubOnDemand
    models: list[ModelInUse]
    pipeline: ScoreEvents
    retrying: RetryEvents
    keeper: Housekeeping
    backlog: Backlog
    checkpoints: HostCheckpoints
    exporting: Exporting
    scoring_status: Status
    retry_status: Status
    verdicts: Verdicts
    alarm: Alarm
    fast_dates: bool

    async def close(self) -> None:
        """Close every client, also where closing one raises; that is raised in the end."""
        clients = (self.store, self.queue, self.poison, self.blobs, self.hub, self.checkpoints)
        async with AsyncExitStack() as closing:
            for client in (
                self.credentials,
                *clients,
            ):  # closed from the end: clients need credentials
                closing.push_async_callback(client.close)


def build() -> Runtime:
    """Everything that outlives an invocation, ready to be used; nothing is connected yet.

    Raises:
        SettingError: a setting is missing or wrong.
        ManifestError: stream.json is missing or wrong.
    """
    for name in _NOISY:  # a log line a request would cost more than the request
        logging.getLogger(name).setLevel(logging.WARNING)
    versions.log_once()
    settings = load_settings()
    check_time_budget(
        settings.time_budget_seconds, settings.storage_timeout_seconds, ROOT / "host.json", os.environ
    )
    clock_ahead = timedelta(hours=settings.clock_ahead_hours)
    stream = load_stream(ROOT / "stream.json", clock_ahead)
    storage = settings.storage_connection()
    cosmos = settings.cosmos_connection()
    settings.eventhub_connection()
    hook = load_hook(settings.decoder) if settings.decoder else None
    # What can be wrong was checked above: a client made before a raise would never be closed.
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
    manifests = [ROOT / "models" / each.name / "manifest.json" for each in stream.models]
    configuration = configuration_hash([ROOT / "stream.json", *manifests], settings.decoder)
    decoder = Decoder(
        stream,
        limits=BodyLimits.of(settings),
        hook=hook,
    )
    # One for both functions: they run in one process where both have work.
    memory = Memory(settings.batch_memory_mib * 1024 * 1024)
    models = models_in_use(stream, ROOT / "models", threads=settings.model_threads)
    writer = Writer(
        breaking,
        parallel=settings.cosmos_parallel_batches,
        patience=settings.batch_deadline_seconds,
        clock_ahead=clock_ahead,
    )
    metrics = exporting.of(settings)
    recorders = {
        function: metrics.telemetry.of(function, breaker=lambda: breaking.state)
        for function in ("score_events", "retry_events")
    }
    keeping = metrics.telemetry.of("housekeeping")
    processings = {
        function: Processing(decoder=decoder, memory=memory, models=models, writer=writer, recorder=recorder)
        for function, recorder in recorders.items()
    }
    # Bodies in claim checks have a budget of their own: who waits for one holds nothing of the other.
    claimed = Memory(memory.total)
    placing = Placing(queue, blobs, claimed_limit=claimed.total // 4)
    hub = HubOnDemand(settings, credentials)
    checkpoints = HostCheckpoints(
        settings.webjobs_connection,
        namespace=settings.eventhub_host(),
        hub=settings.eventhub_name,
        group=settings.eventhub_consumer_group,
        timeout=timeout,
        credentials=credentials,
    )
    claim_checks = ClaimChecks(blobs, hub)
    limits = Limits(
        time_budget=settings.time_budget_seconds,
        linger=settings.linger_seconds,
    )
    patience = Patience(
        give_up=timedelta(days=settings.retry_give_up_days),
        brake=timedelta(hours=settings.brake_hours),
        unexpected=timedelta(minutes=settings.unexpected_minutes),
    )
    interval = settings.status_interval_seconds
    verdicts = Verdicts(blobs, configuration)
    brake = Brake(verdicts, patience)
    scoring_status, retry_status = (
        Status(
            name,
            blobs,
            interval=interval,
            has_policy=has_policy,
            configuration=configuration,
            model_failure=lambda: first_failure(models),
        )
        for name, has_policy in (("score_events", True), ("retry_events", False))
    )
    return Runtime(
        settings=settings,
        credentials=credentials,
        store=store,
        queue=queue,
        poison=poison,
        blobs=blobs,
        hub=hub,
        models=models,
        pipeline=ScoreEvents(
            processing=processings["score_events"],
            placing=placing,
            status=scoring_status,
            judge=Judge(blobs, configuration, interval=interval),
            limits=limits,
            patience=patience,
            recorder=recorders["score_events"],
            store_is_out=lambda: breaking.state is not State.CLOSED,
        ),
        retrying=RetryEvents(
            processing=processings["retry_events"],
            recorder=recorders["retry_events"],
            placing=placing,
            queue=queue,
            blobs=blobs,
            claim_checks=claim_checks,
            memory=claimed,
            status=retry_status,
            brake=brake,
            limits=limits,
            patience=patience,
            store_refuses=lambda: breaking.refuses,
        ),
        keeper=Housekeeping(
            poison=poison,
            queue=queue,
            placing=placing,
            claim_checks=claim_checks,
            patience=patience,
            brake=brake,
            recorder=keeping,
        ),
        backlog=Backlog(
            hub=hub, checkpoints=checkpoints, retry=queue, poison=poison, blobs=blobs, recorder=keeping
        ),
        checkpoints=checkpoints,
        exporting=metrics,
        scoring_status=scoring_status,
        retry_status=retry_status,
        verdicts=verdicts,
        alarm=Alarm(keeping),
        fast_dates=settings.fast_event_dates and event_dates.install(),
    )
