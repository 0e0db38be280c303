"""What health_details looks at, each part with a sentence that says what to do."""

from __future__ import annotations

import os
from datetime import timedelta

from everscore import times
from everscore.failures import Configuration, Stage
from everscore.health import Report, examine
from everscore.status import decode_status
from function_app.composition import ROOT, Runtime
from function_app.host_file import check_time_budget


async def check_all(runtime: Runtime) -> Report:
    """Ask everything that the app depends on."""

    async def settings() -> str:
        check_time_budget(runtime.settings.time_budget_seconds, ROOT / "host.json", os.environ)
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
