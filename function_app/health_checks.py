"""What health_details looks at, each part with a sentence that says what to do."""

from __future__ import annotations

import os

from everscore.clock import times
from everscore.failures import Configuration, Stage
from everscore.watch.health import Report, examine
from everscore.watch.judging import alarms, sentence_of
from everscore.watch.status import problems_of, read_status
from everscore.watch.verdicts import read_verdict
from function_app.composition import ROOT, Runtime
from function_app.host_file import check_checkpoint_frequency


async def check_all(runtime: Runtime) -> Report:
    """Ask everything that the app depends on."""

    async def settings() -> str:
        host_json = ROOT / "host.json"
        check_checkpoint_frequency(host_json, os.environ)
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
        loaded = [await each.source.get() for each in runtime.models]
        return "; ".join(f"{each.name} {each.version}, SHA-256 {each.sha256}" for each in loaded)

    async def configuration() -> str:
        verdict = await read_verdict(runtime.blobs, runtime.verdicts.configuration)
        if alarms(verdict, times.now()):
            raise Configuration(Stage.VALIDATE, "brake", sentence_of(verdict))
        return sentence_of(verdict)

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
            "configuration": configuration,
            "score_events": scoring,
            "retry_events": retrying,
        }
    )


async def _reported(runtime: Runtime, function: str) -> str:
    """What a function says of itself; it may run on other instances, so its status blob is asked."""
    report = await read_status(runtime.blobs, function)
    if report is None:
        return "has not run yet"
    if problems := problems_of(report, times.now()):
        raise problems[0]
    counts = (
        f"{report.received} events, {report.stored} stored, {report.superseded} superseded, "
        f"{report.queued} to retry, {report.dead_lettered} dead-lettered since its instance started"
    )
    last = f"; last failure {report.last_failure} at {report.last_failure_at}" if report.last_failure else ""
    return f"at {report.at}: {counts}{last}"
