"""What the triggers do: the pipeline is built once a process and event loop, on first use."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from everscore.clock.deadline import Deadline, within
from everscore.failures import EverscoreError, describe
from everscore.flow.ending import NotStartedError
from everscore.watch.health import Check, Report
from function_app import trigger_data

if TYPE_CHECKING:
    import azure.functions as func

    from everscore.watch.status import Status
    from function_app.composition import Runtime

logger = logging.getLogger(__name__)

_HOST_JSON = Path(__file__).resolve().parent.parent / "host.json"

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
        kept = (
            "the hub keeps the batch" if retry.endless else "without its retry policy THE BATCH MAY BE LOST"
        )
        not_started = _not_started("No event can be scored", error, kept)
        if not retry.endless:
            # Raised now, the batch would be lost; whoever corrects the settings restarts the app meanwhile.
            await asyncio.sleep(_budget_without_settings())
        raise not_started from error
    runtime.exporting.telemetry.begin("score_events")
    trace = context.trace_context.trace_parent if context.trace_context else None
    items = trigger_data.items_of(events, runtime.settings.eventhub_name, trace)
    try:
        summary = await runtime.pipeline.score_events(items, retry)
    finally:
        await _write(runtime.scoring_status, runtime)  # above all when no place took the batch
    level = logging.WARNING if summary.queued or summary.dead_lettered else logging.DEBUG
    logger.log(level, "%s", summary)


async def retry_events(message: func.QueueMessage) -> None:
    """What the trigger of the same name does."""
    try:
        runtime = get()
    except Exception as error:
        not_started = _not_started("No event can be retried", error, "the retry queue keeps the message")
        # A dequeue count stands for crashes; raised at once, a wrong setting would look like one.
        await asyncio.sleep(_budget_without_settings())
        raise not_started from error
    runtime.exporting.telemetry.begin("retry_events")
    try:
        summary = await runtime.retrying.retry_events(
            message.get_body(),
            dequeue_count=message.dequeue_count or 1,
            message_id=message.id or "",
            inserted_at=trigger_data.inserted_at(message),
        )
    finally:
        await _write(runtime.retry_status, runtime)  # above all when no place took the events
    level = logging.WARNING if summary.dead_lettered else logging.DEBUG
    logger.log(level, "%s", summary)


async def housekeeping() -> None:
    """What the trigger of the same name does."""
    try:
        runtime = get()
    except Exception as error:
        raise _not_started(
            "The poison queue cannot be emptied", error, "it keeps its messages for 7 days"
        ) from error
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


async def _write(status: Status, runtime: Runtime) -> None:
    """Write a status, all of its requests together within the time that `check_time_budget` leaves for it."""
    with within(Deadline.after(runtime.settings.storage_timeout_seconds)):
        await status.write()


def _not_started(what: str, error: Exception, kept: str) -> NotStartedError:
    """Why the app is not there, and what to do; it is logged already."""
    if isinstance(error, EverscoreError):
        todo = "Correct that and restart the app"
    else:
        todo = "Deploy the app again with all of its files and the packages of requirements.txt"
    reason = describe(error).rstrip(".")
    not_started = NotStartedError(f"{what}: {reason}. {todo}; {kept}.")
    logger.critical("%s", not_started)
    return not_started


def _budget_without_settings() -> float:
    """Seconds for which an invocation is held whose time budget cannot be read: the host must not end it."""
    from everscore.config.settings import Settings  # noqa: PLC0415
    from function_app.host_file import function_timeout  # noqa: PLC0415

    fields = Settings.model_fields
    budget = float(fields["time_budget_seconds"].default)
    timeout = function_timeout(_HOST_JSON, os.environ)
    if timeout is None:
        return budget
    return max(0.0, min(budget, timeout.total_seconds() - float(fields["storage_timeout_seconds"].default)))
