"""A function app with one trigger of each kind; what it sees it writes as lines to the file in SEEN."""

import json
import os
import signal
import subprocess
import time
import typing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def note(**seen: typing.Any) -> None:
    """Append a line."""
    with Path(os.environ["SEEN"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"pid": os.getpid(), "at": time.time(), **seen}) + "\n")


def behave(bodies: list[bytes]) -> None:
    """Do what the last event that is a command says, as often as the file beside it allows."""
    for body in bodies:
        if not body.startswith(b"do:"):
            continue
        _, action, times, name = body.decode().split(":")
        with Path(os.environ["SEEN"] + "." + name).open("a", encoding="utf-8") as file:
            file.write("x")
            file.flush()
            done = file.tell()
        if int(times) and done > int(times):
            continue
        if action in ("gate", "late"):
            while not Path(os.environ["SEEN"] + ".open").exists():
                time.sleep(0.02)
        if action in ("raise", "late"):
            raise ValueError(f"told to raise ({name})")
        if action == "orphan":
            # A program that outlives the worker and holds its output and, forked, its socket.
            program = subprocess.Popen(["sleep", "60"])
            forked = os.fork()
            if not forked:
                time.sleep(60)
                os._exit(0)
            note(function="orphans", pids=[program.pid, forked])
        if action in ("die", "orphan"):
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "hang":
            time.sleep(600)
        if action == "slow":
            time.sleep(float(os.environ.get("SLOW_SECONDS", "1")))
            note(function="slow", name=name)


@app.function_name("events")
@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="%HUB%",
    connection="EVENTHUB",
    consumer_group="%GROUP%",
    cardinality=func.Cardinality.MANY,
    data_type=func.DataType.BINARY,
)
async def events(events: typing.List[func.EventHubEvent], context: func.Context) -> None:  # noqa: UP006 - the worker refuses list[…]
    """Note a batch, then obey its commands."""
    bodies = [event.get_body() for event in events]
    metadata = events[0].metadata
    note(
        function="events",
        invocation=context.invocation_id,
        retry=[context.retry_context.retry_count, context.retry_context.max_retry_count],
        bodies=[body.hex() for body in bodies],
        sequence=[event.sequence_number for event in events],
        offsets=[str(event.offset) for event in events],
        keys=[event.partition_key for event in events],
        zone=[str(event.enqueued_time.tzinfo) for event in events],
        properties=metadata["PropertiesArray"],
        partition=metadata["PartitionContext"]["PartitionId"],
        checkpointing=metadata["PartitionContext"]["IsCheckpointingAfterInvocation"],
    )
    behave(bodies)
    time.sleep(float(os.environ.get("PAUSE_SECONDS", "0")))


if os.environ.get("SINGLE"):

    @app.function_name("single")
    @app.event_hub_message_trigger(
        arg_name="event",
        event_hub_name="%HUB%",
        connection="EVENTHUB",
        consumer_group="%GROUP%",
        cardinality=func.Cardinality.ONE,
        data_type=func.DataType.BINARY,
    )
    def single(event: func.EventHubEvent) -> None:
        """Note one event, then obey it; in a thread, so that several could run at once."""
        note(function="single", bodies=[event.get_body().hex()], sequence=[event.sequence_number])
        behave([event.get_body()])


if os.environ.get("EVENTS_RETRY"):
    strategy, count, interval = os.environ["EVENTS_RETRY"].split(",")
    if strategy == "fixed_delay":
        app.retry(strategy=strategy, max_retry_count=count, delay_interval=interval)(events)
    else:
        app.retry(
            strategy=strategy, max_retry_count=count, minimum_interval=interval, maximum_interval="00:00:01"
        )(events)

if os.environ.get("WITH_DURATION"):
    # What releases of the worker library did that built retry options with protobuf's own type.
    from azure_functions_runtime import loader
    from google.protobuf.duration_pb2 import Duration

    def duration(**parts: int) -> typing.Any:
        """Read texts through timedelta, as the loader does first, with hours; make the option of Duration."""
        return timedelta(**parts) if "hours" in parts else Duration(seconds=parts["seconds"])

    loader.timedelta = duration


@app.function_name("messages")
@app.queue_trigger(
    arg_name="message", queue_name="%QUEUE%", connection="STORAGE", data_type=func.DataType.BINARY
)
def messages(message: func.QueueMessage) -> None:
    """Note a message, then obey it."""
    body = message.get_body()
    note(
        function="messages",
        body=body.hex(),
        count=message.dequeue_count,
        id=message.id,
        receipt=message.pop_receipt,
        inserted=str(message.insertion_time),
        hidden=(message.time_next_visible - datetime.now(UTC)).total_seconds(),
    )
    # The commands of the reference listener that this one is compared with.
    if body.startswith(b"slow:"):
        time.sleep(int(body[5:]) / 1000)
    if body.startswith(b"fail"):
        raise ValueError("asked to fail")
    behave([body])


if os.environ.get("TEXTS"):

    @app.function_name("texts")
    @app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection="STORAGE")
    def texts(message: func.QueueMessage) -> None:
        """Note the size of a message that comes as text."""
        note(function="texts", size=len(message.get_body()))


@app.function_name("ticks")
@app.timer_trigger(arg_name="timer", schedule="%SCHEDULE%", run_on_startup=False, use_monitor=True)
def ticks(timer: func.TimerRequest) -> None:
    """Note a tick."""
    note(function="ticks", past_due=timer.past_due)


@app.function_name("echo")
@app.route(route="echo/{word}/{number:int?}", methods=["GET", "POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with what came."""
    if req.params.get("fail"):
        raise ValueError("told to fail")
    answer = {
        "method": req.method,
        "params": dict(req.route_params),
        "query": dict(req.params),
        "body": req.get_body().hex(),
        "agent": req.headers.get("user-agent"),
        "setting": os.environ.get("FROM_SETTINGS"),
    }
    return func.HttpResponse(
        json.dumps(answer),
        status_code=207,
        headers={"x-word": req.route_params["word"]},
        mimetype="application/json",
    )


@app.function_name("relay")
@app.route(route="relay", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="%QUEUE%", connection="STORAGE")
def relay(req: func.HttpRequest, out: func.Out[bytes]) -> str:
    """Put the body into the queue."""
    out.set(req.get_body())
    return "queued"
