"""What the triggers do: the pipeline is built once a process and event loop, on first use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from everscore.clock.deadline import Deadline
from everscore.failures import EverscoreError, describe
from everscore.watch.health import Check, Report
from function_app import trigger_data

if TYPE_CHECKING:
    import azure.functions as func

    from function_app.composition import Runtime

logger = logging.getLogger(__name__)

# One run of the timer must end before the next begins.
_POISON_SECONDS = 35.0
_BACKLOG_SECONDS = 10.0


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
        # Imported here: a worker that only answers /api/health needs none of it.
        from function_app.composition import build  # noqa: PLC0415

        runtime = _runtimes[loop] = build()
    return runtime


async def close() -> None:
    """Close this loop's runtime, if there is one."""
    runtime = _runtimes.pop(asyncio.get_running_loop(), None)
    if runtime is not None:
        await runtime.close()


async def score_events(events: Sequence[func.EventHubEvent], context: func.Context) -> None:
    """What the trigger of the same name does."""
    retry = trigger_data.retry_state_of(context)
    try:
        runtime = get()
    except Exception as error:
        logger.critical("No event can be scored: %s", describe(error))
        if not retry.endless:
            # Raised now, the batch would be lost; whoever corrects the settings restarts the app meanwhile.
            await asyncio.sleep(_budget_without_settings())
        raise
    runtime.exporting.telemetry.begin("score_events")
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
    try:
        runtime = get()
    except Exception as error:
        logger.critical("No event can be retried: %s", describe(error))
        # A dequeue count stands for crashes; raised at once, a wrong setting would look like one.
        await asyncio.sleep(_budget_without_settings())
        raise
    runtime.exporting.telemetry.begin("retry_events")
    try:
        summary = await runtime.retrying.retry_events(
            message.get_body(),
            dequeue_count=message.dequeue_count or 1,
            message_id=message.id or "",
            inserted_at=trigger_data.inserted_at(message),
        )
    finally:
        await runtime.retry_status.write()  # above all when no place took the events
    level = logging.WARNING if summary.dead_lettered else logging.DEBUG
    logger.log(level, "%s", summary)


async def housekeeping() -> None:
    """What the trigger of the same name does."""
    runtime = get()
    runtime.exporting.telemetry.begin("housekeeping")
    try:
        await runtime.keeper.empty_poison_queue(Deadline.after(_POISON_SECONDS))
    finally:
        # What waits may be alone, with no event after it, and the alert is to last for as long as it does.
        verdict = await runtime.verdicts.get()
        if verdict is not None:
            runtime.alarm.look_at(verdict)
        if (
            runtime.exporting.telemetry.enabled
        ):  # after the emptying: what lies there now did not come through
            await runtime.backlog.measure(_BACKLOG_SECONDS)
            await runtime.exporting.flush()


async def health_details() -> Report:
    """What the trigger of the same name answers."""
    try:
        runtime = get()
    except Exception as error:  # noqa: BLE001 - the report must come, whatever keeps the app from being built
        known = isinstance(error, EverscoreError)
        detail = f"{'' if known else 'unexpected '}{describe(error)}"
        return Report(healthy=False, checks={"settings": Check(ok=False, detail=detail)})
    from function_app.health_checks import check_all  # noqa: PLC0415 - imports what get() has just built

    return await check_all(runtime)


def _budget_without_settings() -> float:
    from everscore.config.settings import Settings  # noqa: PLC0415

    return float(Settings.model_fields["time_budget_seconds"].default)
