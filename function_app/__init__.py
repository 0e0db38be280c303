"""The function app: its triggers, and nothing else. Importing it needs no settings, network or model."""

import typing

import azure.functions as func

from function_app import runtime

app = func.FunctionApp()


# Without an endless retry policy the host moves the checkpoint past a batch that raised, and it is lost.
# typing.List, since the worker refuses list[…]; binary, since a body that is no JSON would fail the whole
# batch before this code runs.
@app.function_name("score_events")
@app.event_hub_message_trigger(
    arg_name="events",
    connection="EVENTHUB",
    event_hub_name="%EVENTHUB_NAME%",
    consumer_group="%EVENTHUB_CONSUMER_GROUP%",
    cardinality="many",
    data_type=func.DataType.BINARY,
)
@app.retry(
    strategy="exponential_backoff",
    max_retry_count="-1",
    minimum_interval="00:00:01",
    maximum_interval="00:01:00",
)
async def score_events(events: typing.List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006
    """Score a batch of events and store the results."""
    await runtime.score_events(events, context)


@app.function_name("retry_events")
@app.queue_trigger(
    arg_name="message", queue_name="%RETRY_QUEUE%", connection="STORAGE", data_type=func.DataType.BINARY
)
async def retry_events(message: func.QueueMessage) -> None:
    """Take up events that could not be stored before."""
    await runtime.retry_events(message)


@app.function_name("housekeeping")
@app.timer_trigger(arg_name="timer", schedule="0 * * * * *", run_on_startup=False, use_monitor=False)
async def housekeeping(timer: func.TimerRequest) -> None:
    """Empty the poison queue and measure what waits, every minute."""
    del timer
    await runtime.housekeeping()


@app.function_name("health")
@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say that the process is alive."""
    del req
    return func.HttpResponse('{"status":"alive"}', mimetype="application/json")


@app.function_name("health_details")
@app.route("health/details", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def health_details(req: func.HttpRequest) -> func.HttpResponse:
    """Check everything that the app depends on; 200 when all is well, 503 otherwise."""
    del req
    report = await runtime.health_details()
    return func.HttpResponse(
        report.to_json(), status_code=200 if report.healthy else 503, mimetype="application/json"
    )
