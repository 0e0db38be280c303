"""Functions, settings, HTTP, timers, and what the host says to a user's mistakes."""

import gzip
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

NAMES = ["events", "messages", "ticks", "echo", "relay"]


def call(url: str, method: str = "GET", body: bytes | None = None, headers: dict | None = None):
    """Return status, headers and body of an answer, of a refusal too."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def fails(app, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a host that cannot start; return its exit code and what it says, which is never a traceback."""
    command = [
        sys.executable,
        "-m",
        "everscore_local.functions",
        "--app",
        str(app),
        "--port",
        "0",
        *arguments,
    ]
    done = subprocess.run(
        command, env={"PATH": "", **environment}, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_http_routes_settings_and_admin(new_host):
    """Routes, parameters, bodies and answers go through; the environment wins over local.settings.json."""
    host = new_host(settings={"FROM_SETTINGS": "file", "ONLY_FILE": "file"}, FROM_SETTINGS="environment")
    assert host.ready == {"ready": "functions", "port": host.ready["port"], "functions": NAMES}
    status, headers, body = call(host.url("/api/echo/H%C3%A9/7?a=1&b="), "POST", b"\x00\xff")
    answer = json.loads(body)
    assert (status, headers["x-word"], headers["Content-Type"]) == (
        207,
        "Hé".encode().decode("latin-1"),
        "application/json",
    )
    assert answer["params"] == {"word": "Hé", "number": "7"}
    assert (answer["query"], answer["body"], answer["setting"]) == ({"a": "1"}, "00ff", "environment")
    assert call(host.url("/API/ECHO/x"))[0] == 207
    assert call(host.url("/api/echo/x/notanumber"))[0] == 404
    assert call(host.url("/api/none"))[0] == 404
    assert call(host.url("/api/echo/x"), "DELETE")[0] == 405
    assert call(host.url("/api/echo/x?fail=1"))[0] == 500
    status, _, body = call(host.url("/admin/host/status"))
    assert (status, json.loads(body)["state"]) == (200, "Running")
    listing = {f["name"]: f for f in json.loads(call(host.url("/admin/functions"))[2])}
    assert list(listing) == NAMES
    assert [listing[name]["isDisabled"] for name in NAMES] == [True, True, True, False, False]
    assert listing["echo"]["invoke_url_template"].endswith("/api/echo/{word}/{number:int?}")


def test_a_compressed_body_arrives_as_it_was_sent(new_host):
    """The host does not unpack what a Content-Encoding announces, nor refuses what only claims to be packed."""
    host = new_host()
    for body in (gzip.compress(b"text" * 100, mtime=0), b"no gzip"):
        status, _, answer = call(host.url("/api/echo/x"), "POST", body, {"Content-Encoding": "gzip"})
        assert (status, json.loads(answer)["body"]) == (207, body.hex())


def test_a_chunked_body_arrives_empty(new_host):
    """As on the real host, a body without Content-Length does not reach the function."""
    host = new_host()
    with socket.create_connection(("127.0.0.1", host.ready["port"])) as connection:
        connection.sendall(
            b"POST /api/echo/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'"body": ""' in answer


def test_timer_ticks_and_runs_on_demand(new_host):
    """A six-field schedule ticks each second; the admin route runs the function out of turn."""
    host = new_host(enable=("ticks",))
    notes = host.wait_seen(2, "ticks")
    assert notes[1]["at"] - notes[0]["at"] > 0.5
    other = new_host(enable=("ticks",), SCHEDULE="0 0 0 1 1 *", SEEN=str(host.seen_file) + "2")
    assert call(other.url("/admin/functions/ticks"), "POST", b"{}")[0] == 202
    other.wait_seen(1, "ticks")
    assert call(other.url("/admin/functions/nobody"), "POST", b"{}")[0] == 404


def test_a_queue_output_wakes_the_queue_listener(new_host):
    """What a function writes to a queue reaches the queue function of the same host."""
    host = new_host(enable=("messages",))
    assert call(host.url("/api/relay"), "POST", b"\x00relayed")[::2] == (200, b"queued")
    (note,) = host.wait_seen(1, "messages")
    assert bytes.fromhex(note["body"]) == b"\x00relayed"


def test_a_connection_that_means_another_setting_is_told(new_host, azurite):
    """The connection STORAGE is AzureWebJobsStorage where both are set, as in Azure: said where the two differ."""
    same = new_host(enable=("messages",))
    assert "which differs" not in same.log()
    other = new_host(
        enable=("messages",), STORAGE=f"{azurite.connection_string}QueueEndpoint=http://127.0.0.1:1/x;"
    )
    said = "the queueTrigger of function messages uses the setting AzureWebJobsSTORAGE (names ignore case) and not"
    assert f"{said} STORAGE, which differs" in other.log()
    assert call(other.url("/api/relay"), "POST", b"there")[0] == 200
    assert bytes.fromhex(other.wait_seen(1, "messages")[0]["body"]) == b"there"


def test_retry_options_built_with_protobufs_duration(new_host):
    """Retry options made of google.protobuf's Duration start the app just as well (azure-functions-python-worker#1823)."""
    host = new_host(EVENTS_RETRY="exponential_backoff,-1,00:00:01", WITH_DURATION="1")
    listing = {f["name"]: f for f in json.loads(call(host.url("/admin/functions"))[2])}
    assert listing["events"]["retry"] == {
        "strategy": "exponential_backoff",
        "maxRetryCount": -1,
        "minimumSeconds": 1.0,
        "maximumSeconds": 1.0,
    }


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("exponential_backoff,-1,00:00:05", "must not have a minimum (5 s) greater than its maximum (1 s)"),
        ("fixed_delay,-2,00:00:05", "must have a max_retry_count of at least -1, found -2"),
    ],
)
def test_a_retry_policy_that_the_real_host_refuses_is_named(new_host, policy, said):
    """A function that would not be loaded in Azure ends the host here, with a sentence that names it."""
    app = new_host().seen_file.parent / "app"
    code, text = fails(app, EVENTS_RETRY=policy, **{f"AzureWebJobs.{name}.Disabled": "1" for name in NAMES})
    assert (code, text) == (2, f"The retry policy of function events {said}.\n")


def test_an_occupied_port_is_named(new_host, tmp_path):
    """A taken port ends the host with one sentence that names it and says what to do."""
    first = new_host()
    app = first.seen_file.parent / "app"
    port = str(first.ready["port"])
    switched = {f"AzureWebJobs.{name}.Disabled": "1" for name in NAMES}
    code, text = fails(app, "--port", port, **switched)
    assert code == 2
    assert f"Port {port} is taken" in text
    assert "--port" in text


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("import azure.functions as func\napp = func.FunctionApp()\n", 2, "No functions were found in"),
        ("import nothing_of_that_name\n", 1, "No module named 'nothing_of_that_name'"),
        ("x = 1\n", 1, "Could not find top level function app instances"),
        ("import os\nos._exit(3)\n", 1, "exit code 3"),
    ],
)
def test_an_app_that_cannot_run_is_refused_in_a_sentence(tmp_path, source, code, said):
    """No functions, a missing module, no app object, a dying import: one sentence and a non-zero exit."""
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(source)
    found, text = fails(tmp_path)
    assert (found, said in text) == (code, True), text


def test_missing_settings_are_named(new_host, tmp_path):
    """A setting that a binding asks for and that is missing is named, with who asks."""
    host = new_host()
    app = host.seen_file.parent / "app"
    code, text = fails(app)
    assert code == 2
    assert (
        "The setting HUB is missing or empty: the eventHubTrigger of function events asks for %HUB%." in text
    )
    code, text = fails(app, HUB="h", GROUP="g", QUEUE="queue", SCHEDULE="* * * * *")
    assert code == 2
    assert "The setting EVENTHUB is missing or empty" in text
    given = {"HUB": "h", "GROUP": "g", "QUEUE": "queue", "SCHEDULE": "* * * * *"}
    storage = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    code, text = fails(app, EVENTHUB="nonsense", **given, **storage)
    assert code == 2
    assert "The connection string of the event hub of function events is wrong" in text
    code, text = fails(app, EVENTHUB="Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=k", **given)
    assert code == 2
    assert (
        "The setting AzureWebJobsStorage is missing or empty: the eventHubTrigger of function events" in text
    )
    code, text = fails(app, EVENTHUB="nonsense", AzureWebJobsStorage="x", **given)
    assert code == 2
    assert (
        "The setting AzureWebJobsStorage, used by the eventHubTrigger of function events, is no storage"
        in text
    )
