"""A user's mistakes: one sentence, a non-zero exit code, no trace."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from everscore.config.settings import setting_names
from everscore_cli.app_checks import check_app, misspelt
from everscore_cli.demo import example
from everscore_cli.main import main
from everscore_cli.project import local_values
from everscore_local import azurite
from everscore_local.azurite import AzuriteError
from everscore_local.functions.app_settings import AppSettings
from everscore_local.functions.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
HUB = (
    "Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
    "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
)


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The folder of an app of the test's own, as the working folder, with an empty state."""
    from tests.support.app import copy_app

    folder = copy_app(tmp_path / "app")
    shutil.copy(ROOT / "local.settings.example.json", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EVERSCORE_STATE", str(tmp_path / "state"))
    for name in ("EVENTHUB", "COSMOS", "STORAGE", "AzureWebJobsStorage"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def refused(capsys):
    """Runs the command in this process; it must fail, and say one sentence with these words."""

    def run(arguments, *words, sentences=1):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if "was copied from" not in line]
        assert lines[0].startswith("error ")
        assert len(lines) == sentences, lines
        for word in words:
            assert word in lines[0]

    before = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGHUP)}
    yield run
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", ["EVENTHUB", "Key=value"]),
        ("Endpoint=sb://example.servicebus.windows.net/", ["EVENTHUB", "SharedAccessKey"]),
        (HUB.format(port=9092), ["EVENTHUB", "9092", "5672"]),
        ("Endpoint=sb://example.net;UseDevelopmentEmulator=true;", ["EVENTHUB", "example.net"]),
    ],
)
def test_a_wrong_connection_string(app, refused, monkeypatch, text, words) -> None:
    """A connection string that is none is refused by its setting's name, and is not shown."""
    monkeypatch.setenv("EVENTHUB", text)
    events = app / "events.jsonl"
    events.write_text('{"id": 1}\n')
    refused(["send", str(events)], *words)


def test_a_store_that_cannot_be_reached(app, refused, monkeypatch) -> None:
    """Where no store answers, a query says so in one sentence, and leaves no open session behind."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("COSMOS", f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey=a2V5;")
    refused(["query"], "cannot be reached", "everscore up")


def test_a_hub_that_cannot_be_reached(app, refused, monkeypatch) -> None:
    """Where nobody listens the user is told what to start."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("EVENTHUB", HUB.format(port=port))
    events = app / "events.jsonl"
    events.write_text('{"id": 1}\n')
    refused(["send", str(events)], "cannot be reached", "everscore up")
    refused(["replay", "--dry-run"], "cannot be reached", "everscore up")
    refused(["partition", "skip", "0", "--to", "1", "--yes"], "cannot be reached", "everscore up")


def test_a_storage_account_that_cannot_be_reached(app, refused, monkeypatch) -> None:
    """Where no Azurite answers the user of dead letters is told what to start."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("STORAGE", "AzureWebJobsStorage"):
        monkeypatch.setenv(name, azurite.connection_string(port, port))
    refused(["deadletters", "list"], "cannot be reached", "everscore up")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("events.xlsx", b"a,b\n", ["events.xlsx", "unknown format", ".jsonl", ".csv", "docs/events.md"]),
        ("events.csv", b"a,b\n", ["events.csv has no rows"]),
        ("cells.csv", b"a,b\n1,2\n1,2,3\n", ["cells.csv, row 2 has 3 cells", "names 2 columns", "quotes"]),
        ("twice.csv", b"a,b,a\n1,2,3\n", ["twice.csv has two columns 'a'"]),
        ("inside.csv", b"/a/b,a\n1,2\n", ["inside.csv has the columns '/a/b' and 'a'", "one field"]),
        ("latin.csv", "a\né\n".encode("latin-1"), ["latin.csv is not UTF-8"]),
        ("nothing.csv", b"", ["nothing.csv is no table"]),
        ("cut.csv", b'a,b\n1,"2\n', ["cut.csv, line 2 is no row of a table"]),
        ("words.parquet", b"hello", ["words.parquet cannot be read as Parquet"]),
        ("missing.csv", None, ["missing.csv cannot be read: no such file"]),
        ("events", b"{}\n", ["no extension", ".jsonl"]),
        ("empty.jsonl", b"", ["empty.jsonl is empty"]),
        ("blank.jsonl", b"\n  \n", ["blank.jsonl is empty"]),
        ("wrong.jsonl", b'{"id": 1}\n\n{"id": 2\n', ["wrong.jsonl, line 3 is not JSON"]),
        ("words.jsonl", b"hello\n", ["words.jsonl, line 1 is not JSON: expecting value at character 1"]),
        ("latin.jsonl", '{"id": "é"}'.encode("latin-1"), ["latin.jsonl, line 1 is not UTF-8"]),
        (
            "cut.jsonl.gz",
            gzip.compress(b'{"id": 1}\n' * 9000, mtime=0)[:-20],
            ["cut.jsonl.gz is not a whole gzip file"],
        ),
        (
            "damaged.jsonl.gz",
            gzip.compress(b"", mtime=0)[:10] + b"\x07" + b'{"id": 1}',
            ["damaged.jsonl.gz is not a whole gzip file: error -3 while decompressing data"],
        ),
        ("plain.jsonl.gz", b'{"id": 1}\n', ["plain.jsonl.gz is not a whole gzip file"]),
        ("missing.jsonl", None, ["missing.jsonl cannot be read: no such file"]),
    ],
)
def test_a_file_that_cannot_be_sent(app, refused, name, content, words) -> None:
    """An unknown format, an empty or missing file, a line that is no JSON: each is named."""
    if content is not None:
        (app / name).write_bytes(content)
    if content is None or b'{"id": 1}\n\n' not in content:
        refused(["send", name, "--skip", "8999"], *words)
    else:
        refused(["send", name, "--skip", "2"], *words)


def test_standard_input_without_events(app) -> None:
    """Nothing on stdin is told like an empty file."""
    result = subprocess.run(
        [sys.executable, "-m", "everscore_cli.main", "send", "-"],
        cwd=app,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "stdin is empty" in result.stderr
    assert "Traceback" not in result.stderr


FLIGHT = {
    "id": "x",
    "carrier": "U A",
    "date": "2013-09-01",
    "time": "2013-09-01T10:00:00-04:00",
    "origin": "EWR",
    "dest": "IAH",
    "distance": 1400,
    "hour": 10,
    "dep_delay": 75,
    "cancelled": False,
}


def dry_run(*arguments):
    """The exit code of `send events.jsonl --dry-run`."""
    with pytest.raises(SystemExit) as ended:
        main(["send", "events.jsonl", "--dry-run", *arguments])
    return ended.value.code


def test_dry_run_shows_the_first_event(app, capsysbinary) -> None:
    """--dry-run prints the exact bytes, the partition key and the scores, with no stack running."""
    line = json.dumps({**FLIGHT, "n": 1.5}).encode().replace(b"1.5", b"1.50")
    (app / "events.jsonl").write_bytes(b"\n" + line + b"\r\n")
    assert dry_run() == 0
    said = capsysbinary.readouterr()
    assert said.err == b""
    assert b"\n" + line + b"\n" in said.out
    assert b"U~20A|2013-09-01" in said.out
    assert b"2013-09-01T14:00:00.000000Z" in said.out
    assert b"flights late, 0." in said.out
    assert b"1 of 1 events would be scored and stored" in said.out


def test_dry_run_tells_what_would_not_be_stored(app, capsys) -> None:
    """Each reason is told with its field, how many events it stops and the line of the first; exit code 1."""
    wrong = [FLIGHT, {**FLIGHT, "id": None}, {**FLIGHT, "distance": "far"}, {**FLIGHT, "id": None}, [1]]
    (app / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in wrong))
    assert dry_run("--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["events"], found["scored"], found["partitionKey"]) == (5, 1, "U~20A|2013-09-01")
    assert found["first"]["scores"]["flights"]["label"] == "late"
    told = {
        (each["stage"], each["reason"], each["field"], each["line"]): each["count"]
        for each in found["refused"]
    }
    assert told == {
        ("validate", "id is null", "/id", 2): 2,
        ("score", "wrong type of input", "/distance", 3): 1,
        ("decode", "not an object", None, 5): 1,
    }
    assert dry_run("--skip", "1", "--count", "2") == 1
    assert "0 of 2 events would be scored and stored." in capsys.readouterr().out


def test_dry_run_goes_by_the_own_decoder(app, capsys, monkeypatch) -> None:
    """Where DECODER is set it decodes here too; a module that is not there is one sentence."""
    (app / "own_decoder.py").write_text(
        "import json\ndef decode(bodies):\n    return [{**json.loads(body), 'id': 'mine'} for body in bodies]\n"
    )
    (app / "events.jsonl").write_text(json.dumps({**FLIGHT, "id": None}) + "\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("DECODER", "own_decoder:decode")
    assert dry_run("--json") == 0
    assert json.loads(capsys.readouterr().out)["first"]["id"] == "mine"
    monkeypatch.setenv("DECODER", "own_decoder:dekode")
    assert dry_run() == 1
    assert "error DECODER is 'own_decoder:dekode'; expected module:function" in capsys.readouterr().err


def test_occupied_port(app, refused) -> None:
    """`up` names the port that another program has and what to do; nothing is started."""
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 5672))
            other.listen()
        except OSError:
            pass  # a stack runs on this machine: the port is occupied all the same
        refused(["up"], "5672 (eventhubs)", "in use by another program", "--free-ports")


def test_a_state_folder_that_cannot_be_made(app, refused, monkeypatch) -> None:
    """Where the state folder cannot be made the user is told its name and why."""
    (app / "file").write_text("")
    monkeypatch.setenv("EVERSCORE_STATE", str(app / "file" / "state"))
    refused(["up", "--free-ports"], "cannot be used: not a directory", str(app / "file"))


@pytest.mark.parametrize("old", [False, True])
def test_hole_39_missing_node(app, refused, monkeypatch, tmp_path, old) -> None:
    """Hole 39: without Node, and with an old one, the user is told which is needed and what brings it."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    if old:
        (tmp_path / "node").write_text("#!/bin/sh\necho v20.20.2\n")
        (tmp_path / "node").chmod(0o755)
    refused(["up", "--free-ports"], "needs Node 22.0.0 or later", "`make setup`")


@pytest.mark.parametrize("there", [[], ["dist/src/azurite.js"], ["package.json"]])
def test_an_installation_that_was_cut_off(tmp_path, there) -> None:
    """Node's packages of which only a part is there count as not installed, and the sentence says what brings them."""
    for name in there:
        file = tmp_path / "azurite" / name
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    with pytest.raises(AzuriteError, match=r"is not installed in .*: run `npm ci`"):
        azurite.find_script(tmp_path)


def test_missing_model(app, refused) -> None:
    """A model folder without its model is told before anything is started."""
    (app / "models" / "flights" / "model.onnx").unlink()
    refused(["up", "--free-ports"], "model 'flights'", "model.onnx")


def test_wrong_stream(app, refused) -> None:
    """The mistakes in stream.json are told, all at once, before anything is started."""
    manifest = {**json.loads((app / "stream.json").read_text()), "unwrap": "rows", "colour": "red"}
    (app / "stream.json").write_text(json.dumps(manifest))
    refused(["up", "--free-ports"], "stream.json", sentences=2)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("BATCH_DEADLINE_SECONDS=soon", ["BATCH_DEADLINE_SECONDS is 'soon'", "number"]),
        ("RETRY_GIVE_UP_DAYS=0", ["RETRY_GIVE_UP_DAYS is '0'", "greater than 0"]),
        ("DECODER=nowhere:decode", ["DECODER is 'nowhere:decode'", "nowhere"]),
    ],
)
def test_a_wrong_setting(app, refused, monkeypatch, setting, words) -> None:
    """A wrong setting is told before anything is started, since the app would take no event."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(*setting.split("="))
    refused(["up", "--free-ports"], *words)


def test_misspelt_settings() -> None:
    """A name in the settings file that is nearly a setting is taken for a misspelling, others' names are not."""
    assert misspelt(["BATCH_DEADLINE_SECOND", "cosmos_database", "EVENTHUB__clientID"]) == {
        "BATCH_DEADLINE_SECOND": "BATCH_DEADLINE_SECONDS",
        "cosmos_database": "COSMOS_DATABASE",
        "EVENTHUB__clientID": "EVENTHUB__clientId",
    }
    theirs = ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "AzureWebJobs.score_events.Disabled", "MY_TOKEN"]
    assert misspelt([*setting_names(), *theirs, "FUNCTIONS_WORKER_RUNTIME"]) == {}


def test_what_the_platform_reads_is_not_misspelt() -> None:
    """Names listed as the platform's, and the parts of a trigger's connection that the host alone reads."""
    platform = json.loads(
        (ROOT / "everscore" / "config" / "platform_settings.json").read_text(encoding="utf-8")
    )
    storage = [
        "credential",
        "clientId",
        "tenantId",
        "managedIdentityResourceId",
        "serviceUri",
        "tableServiceUri",
    ]
    assert misspelt([*platform, *(f"STORAGE__{part}" for part in storage), "storage__tableServiceURI"]) == {}
    assert misspelt(["STORAGE__blobServiceUrl", "STORAGE__queueServiceURI", "COSMOS__acountEndpoint"]) == {
        "STORAGE__blobServiceUrl": "STORAGE__blobServiceUri",
        "STORAGE__queueServiceURI": "STORAGE__queueServiceUri",
        "COSMOS__acountEndpoint": "COSMOS__accountEndpoint",
    }


def test_flights_where_the_stream_is_another(app, refused, tmp_path) -> None:
    """With a stream.json of other events the flights are not sent, and a run takes a copy of the app for them."""
    shutil.copy(app / "stream.json", app / example.STREAM)
    assert example.app_of_example(app, tmp_path / "copy") == app
    manifest = {**json.loads((app / "stream.json").read_text()), "id": "/at", "model": "pumps"}
    (app / "stream.json").write_text(json.dumps(manifest))
    refused(["send"], "stream.json is about events for the model pumps", "name a file")
    copy = example.app_of_example(app, tmp_path / "copy")
    assert copy != app
    stream, models = check_app(copy)
    assert (stream.manifest.id, models.names) == ("/id", ["flights"])
    assert (copy / "function_app" / "__init__.py").is_file()
    (app / example.STREAM).unlink()
    refused(["run"], "models/flights is not there any more")


def test_hole_32_settings_may_begin_with_a_byte_order_mark(app, refused) -> None:
    """Hole 32: local.settings.json with a byte order mark is read; in UTF-16 it is called what it is."""
    text = (app / "local.settings.example.json").read_text()
    (app / "local.settings.json").write_text(text, encoding="utf-8-sig")
    assert local_values(app / "local.settings.json") == json.loads(text)["Values"]
    assert AppSettings.load(app, None, {})["EVENTHUB_NAME"] == "events"
    (app / "local.settings.json").write_text(text, encoding="utf-16")
    refused(["status"], "local.settings.json is not JSON: it is UTF-16; save it as UTF-8")
    with pytest.raises(ConfigurationError, match="it is UTF-16; save it as UTF-8"):
        AppSettings.load(app, None, {})


@pytest.mark.parametrize("name", ["stream.json", "host.json", "models/flights/manifest.json"])
def test_hole_32_the_other_files_call_utf_16_what_it_is(app, refused, name) -> None:
    """Hole 32: the manifests and host.json in UTF-16 are named as such."""
    (app / name).write_text((app / name).read_text(), encoding="utf-16")
    refused(["up", "--free-ports"], name.rpartition("/")[2], "it is UTF-16; save it as UTF-8")


def test_settings_that_are_no_json(app, refused) -> None:
    """A damaged local.settings.json is named, and left as it is."""
    (app / "local.settings.json").write_text("{")
    refused(["status"], "local.settings.json is not JSON")
    assert (app / "local.settings.json").read_text() == "{"
    (app / "local.settings.json").write_text('{"Values": []}')
    refused(["status"], 'has no object "Values"')
    (app / "local.settings.json").write_text('{"Values": {"BRAKE_HOURS": 5, "COSMOS_DATABASE": "x"}}')
    refused(["status"], 'a setting is a text, as in "5"; BRAKE_HOURS is none')


def test_commands_that_need_a_running_stack(app, refused) -> None:
    """status, restart and logs say that nothing runs, and how to start it."""
    values = json.loads((app / "local.settings.example.json").read_text())
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        values["Values"]["EVENTHUB"] = HUB.format(port=probe.getsockname()[1])
    (app / "local.settings.json").write_text(json.dumps(values))
    for command in (["status"], ["restart"], ["logs"]):
        refused(command, "everscore up")
    refused(["restart", "kafka"], "There is no part 'kafka'")


def test_not_a_folder_of_an_app(tmp_path) -> None:
    """Outside of any app, the app beside the installed code is taken."""
    result = subprocess.run(
        [sys.executable, "-m", "everscore_cli.main", "logs"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EVERSCORE_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"There are no logs in {tmp_path / 'state' / 'logs'}" in result.stderr
