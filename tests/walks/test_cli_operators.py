"""What operators do with dead letters, ranges of the hub and a partition that stands still."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from azure.eventhub import EventData, EventHubProducerClient
from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient

from everscore.adapters import checkpoints
from everscore.watch.furthest import NAME, Mark
from everscore_local.stack import HOST, Stack
from tests.support.app import LIBRARY_SAYS, UNREADABLE, break_library
from tests.support.cli import Cli, cli_in

SHORT = {
    "eventHubs": {
        "loadBalancingUpdateInterval": "00:00:01",
        "partitionOwnershipExpirationInterval": "00:00:05",
    },
    "queues": {"maxPollingInterval": "00:00:00.2"},
}
FLIGHT = {
    "carrier": "UA",
    "date": "2013-12-31",
    "time": "2013-12-31T23:58:00-05:00",
    "origin": "EWR",
    "dest": "IAH",
    "distance": 1400,
    "hour": 23,
    "month": 12,
    "dep_delay": 75,
    "cancelled": False,
}


def test_dead_letters_are_listed_shown_exported_redriven_and_purged(tmp_path) -> None:
    """A wrong stream.json makes dead letters; once it is fixed a redrive stores them and removes the letters."""
    with cli_in(tmp_path, stream={"time": "/when"}, host=SHORT) as cli:
        setting(cli.app, BRAKE_HOURS="0")  # without a brake, which would have all of it wait
        cli.run("up", "--free-ports")
        cli.run("send", "--count", "12")
        properties = ("--property", "site=north", "--property", "by=/carrier", "--property", "no=/none")
        cli.run("send", "-", *properties, stdin='{"id": "x", "carrier": "ZZ", "date": "2013-12-31"}\n')
        cli.settled(deadLetters=13)
        # What the app says of itself it writes after the batch that it is about.
        deadline = time.monotonic() + 180
        while (status := cli.json("status"))["reported"]["score_events"] is None:
            assert time.monotonic() < deadline, json.dumps(status)
            time.sleep(0.2)
        assert status["problems"] == []  # a failure is none: what failed is a dead letter
        said = status["reported"]["score_events"]
        assert said["lastFailure"] == "validate: time missing"
        assert said["lastFailureAt"] <= said["at"]
        assert status["reported"]["retry_events"] is None
        table = cli.run("status")
        assert "What the app says" in table
        assert said["lastFailureAt"][:19].replace("T", " ") in table
        assert "nothing yet" in table

        listing = cli.json("deadletters", "list", "--since", "1h")
        assert listing["reasons"] == [{"stage": "validate", "reason": "time missing", "count": 13}]
        name = listing["letters"][0]["name"]
        assert cli.json("deadletters", "list", "--reason", "TIME", "--stage", "validate")["total"] == 13
        assert cli.json("deadletters", "list", "--stage", "decode")["total"] == 0
        assert cli.json("deadletters", "list", "--until", "2013-01-01")["total"] == 0
        assert "time missing" in cli.run("deadletters", "list", "--limit", "1")
        shown = json.loads(cli.run("deadletters", "show", name))
        assert shown["item"]["field"] == "/when"
        assert json.loads(shown["item"]["body"])["carrier"]
        cli.run("deadletters", "show", "nothing.json", code=1)
        assert "There is no dead letter nothing.json" in cli.said
        cli.run("deadletters", "list", "--since", "yesterday", code=1)
        assert "--since yesterday is no time" in cli.said

        file = tmp_path / "letters.jsonl"
        cli.run("deadletters", "export", str(file))
        exported = [json.loads(line) for line in file.read_text().splitlines()]
        assert {each["name"] for each in exported} == {
            each["name"] for each in cli.json("deadletters", "list")["letters"]
        }
        assert json.loads(base64.b64decode(exported[0]["item"]["body"]))

        manifest = json.loads((cli.app / "stream.json").read_text())
        (cli.app / "stream.json").write_text(json.dumps({**manifest, "time": "/time"}))
        cli.run("restart")
        answer = cli.json("deadletters", "redrive", "--yes")
        assert answer == {"found": 13, "redriven": 13, "skipped": 0}
        # Twelve are stored; the one that has no time at all is a dead letter anew, with its history.
        status = cli.settled(documents=12, deadLetters=1)
        assert status["documents"] == 12
        (left,) = cli.json("deadletters", "list")["letters"]
        again = json.loads(cli.run("deadletters", "show", left["name"]))
        assert again["item"]["field"] == "/time"
        assert json.loads(again["item"]["body"])["carrier"] == "ZZ"
        assert again["item"]["properties"] == {"site": "north", "by": "ZZ"}

        _what_is_no_letter_stays_as_it_is(cli, file, left["name"])
        assert cli.json("deadletters", "purge", "--settled", "--yes") == {"found": 0, "deleted": 0}
        assert cli.json("deadletters", "purge", "--yes") == {"found": 2, "deleted": 2}
        assert cli.json("deadletters", "list")["total"] == 0

        # Bytes that are no JSON arrive as they are.
        (tmp_path / "1.bin").write_bytes(b"\xff\n")
        (tmp_path / "2.bin").write_bytes(b" a,b\r\n")
        cli.run("send", "--raw", "files", str(tmp_path / "1.bin"), str(tmp_path / "2.bin"))
        cli.run("send", "--raw", "lines", str(tmp_path / "2.bin"))
        cli.settled(deadLetters=3)
        names = [each["name"] for each in cli.json("deadletters", "list")["letters"]]
        bodies = {json.loads(cli.run("deadletters", "show", name))["item"]["body"] for name in names}
        assert bodies == {"hex:ff0a", " a,b\r\n", " a,b"}

        # The same mistake again, with the brake: all of it waits, and status says why.
        (cli.app / "stream.json").write_text(json.dumps({**manifest, "time": "/when"}))
        setting(cli.app, BRAKE_HOURS="24")
        cli.run("restart")
        cli.run("send", "--count", "24", "--skip", "12")
        deadline = time.monotonic() + 180
        while (status := cli.json("status", code=None))["problems"] == []:
            assert time.monotonic() < deadline, json.dumps(status)
            time.sleep(0.2)
        (verdict,) = status["configurations"]
        assert (verdict["current"], verdict["state"], verdict["reason"]) == (
            True,
            "braked",
            "validate: time missing",
        )
        assert verdict["configuration"] == status["reported"]["score_events"]["configuration"]
        assert verdict["failedAlike"] == verdict["bodies"] >= 20
        (sentence,) = status["problems"]
        assert sentence.startswith("score_events: brake: configuration ")
        assert "is braked since" in sentence
        assert status["deadLetters"] == 3
        table = cli.run("status", code=1)
        assert "Configurations" in table
        assert "validate: time missing" in table


def _what_is_no_letter_stays_as_it_is(cli: Cli, file: Path, letter: str) -> None:
    """A blob among the letters that somebody else put there is exported byte for byte, and named where shown."""
    storage = cli.json("up")["settings"]["STORAGE"]
    with BlobServiceClient.from_connection_string(storage) as service:
        service.get_blob_client("dead-letters", "notes.txt").upload_blob(b"\xffnot a letter")
    cli.run("deadletters", "export", str(file))
    lines = {each["name"]: each for each in map(json.loads, file.read_text().splitlines())}
    assert base64.b64decode(lines.pop("notes.txt")["bytes"]) == b"\xffnot a letter"
    assert set(lines) == {letter}
    cli.run("deadletters", "show", "notes.txt", code=1)
    assert "notes.txt cannot be shown" in cli.said
    assert "`everscore deadletters export FILE` writes it as it is" in cli.said
    assert cli.json("deadletters", "redrive", "--name", "notes.txt", "--yes")["skipped"] == 1
    for mistake, words in (
        (("show", ""), "There is no dead letter"),
        (("redrive", "--name", letter, "--stage", "validate"), "--name chooses one letter"),
        (("list", "--since", "1h", "--until", "2h"), "nothing lies between them"),
    ):
        cli.run("deadletters", *mistake, code=1)
        assert words in cli.said
    cli.run("deadletters", "list", "--stage", "validation", code=2)


def setting(app: Path, **values: str) -> None:
    """Change settings of a copy of the app."""
    path = app / "local.settings.json"
    if not path.exists():
        shutil.copy(app / "local.settings.example.json", path)
    settings = json.loads(path.read_text())
    settings["Values"] |= values
    path.write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def replaying(tmp_path_factory) -> Iterator[Cli]:
    """The command on a stack that the tests of replays share, in their order."""
    with cli_in(tmp_path_factory.mktemp("replaying"), host=SHORT) as cli:
        cli.run("up", "--free-ports")
        yield cli


def test_a_range_of_the_hub_is_replayed_and_changes_nothing(replaying: Cli) -> None:
    """Events that are stored already are found superseded; a lost document comes back as it was."""
    cli = replaying
    cli.run("send", "--count", "60")
    before = cli.settled(documents=60)
    documents = cli.json("query", "--sql", "SELECT c.id, c._etag FROM c")
    assert cli.json("replay", "--dry-run") == {"replayed": 0, "found": 60}
    assert cli.json("replay", "--until", "2013-01-01") == {"replayed": 0, "found": 0}
    partition = next(each for each in before["partitions"] if each["last"] is not None)
    span = cli.json(
        "replay",
        "--partition",
        partition["id"],
        "--from-sequence",
        "0",
        "--to-sequence",
        "1",
        "--dry-run",
    )
    assert span["found"] == min(2, partition["last"] + 1)
    assert cli.json("replay", "--since", "1h") == {"replayed": 60, "found": 60}
    cli.settled(documents=60, deadLetters=0)
    assert cli.json("query", "--sql", "SELECT c.id, c._etag FROM c") == documents
    cli.run("replay", "--from-sequence", "1", code=1)
    assert "give --partition too" in cli.said
    cli.run("replay", "--partition", "0", "--from-sequence", "2", "--to-sequence", "1", code=1)
    assert "nothing lies between them" in cli.said
    assert "nothing is replayed" in cli.run("replay", "--until", "2013-01-01")


def test_hole_18_a_binary_property_names_one_document_by_replay_redrive_and_hub(replaying: Cli) -> None:
    """Hole 18: a dead letter whose id is in a binary property comes back under the id that the hub's way gives."""
    cli, name = replaying, b"\xff\xfe\x00id"
    before = cli.json("status")["documents"]
    stream = json.loads((cli.app / "stream.json").read_text()) | {"id": {"property": "key"}}
    (cli.app / "stream.json").write_text(json.dumps({**stream, "time": "/when"}))
    setting(cli.app, BRAKE_HOURS="0")  # so that the wrong pointer makes a letter at once
    cli.run("restart")
    _send_named(cli, name)
    status = cli.settled(deadLetters=1)
    sequence = str(next(each["last"] for each in status["partitions"] if each["id"] == "0"))
    (letter,) = cli.json("deadletters", "list")["letters"]
    assert (letter["stage"], letter["reason"]) == ("validate", "time missing")
    shown = json.loads(cli.run("deadletters", "show", letter["name"]))
    assert shown["item"]["properties"] == {"key": "//4AaWQ="}

    (cli.app / "stream.json").write_text(json.dumps(stream))
    cli.run("restart")
    only = ("--partition", "0", "--from-sequence", sequence, "--to-sequence", sequence)
    assert cli.json("replay", *only) == {"replayed": 1, "found": 1}
    cli.settled(documents=before + 1, deadLetters=1)
    document = cli.json("query", "~2f~2f4AaWQ~3d")
    assert (document["key"]["id"], document["source"]["sequenceNumber"]) == ("//4AaWQ=", int(sequence))

    # A redrive of the letter finds that very document: it is superseded, and the letter goes.
    assert cli.json("deadletters", "redrive", "--yes")["redriven"] == 1
    cli.settled(documents=before + 1, deadLetters=0)
    assert cli.json("query", "~2f~2f4AaWQ~3d") == document

    # The same event by way of the trigger is a later source of that document, and no second one.
    _send_named(cli, name)
    cli.settled(documents=before + 1, deadLetters=0)
    moved = cli.json("query", "~2f~2f4AaWQ~3d")
    assert moved["source"]["sequenceNumber"] > int(sequence)
    assert moved["scores"] == document["scores"]


def _send_named(cli: Cli, name: bytes) -> None:
    """A flight to partition 0 whose id is binary, in an application property."""
    connection = cli.json("up")["settings"]["EVENTHUB"]
    with EventHubProducerClient.from_connection_string(connection, eventhub_name="events") as producer:
        batch = producer.create_batch(partition_id="0")
        event = EventData(json.dumps(FLIGHT))
        event.properties = {"key": name}
        batch.add(event)
        producer.send_batch(batch)


def test_hole_49_a_partition_that_stands_still_is_led_on(tmp_path) -> None:
    """Hole 49: skip dead-letters what stops a partition, moves the checkpoint and restarts the host; the rest goes on."""
    with cli_in(tmp_path, host=SHORT) as cli:
        break_library(cli.app)
        cli.run("up", "--free-ports")
        bad = json.dumps({**FLIGHT, "id": "bad", "note": UNREADABLE})
        cli.run("send", "-", stdin=bad + "\n")
        stuck = next(each for each in cli.json("status")["partitions"] if each["last"] is not None)
        assert stuck["last"] == 0
        good = "".join(json.dumps({**FLIGHT, "id": f"good-{number}"}) + "\n" for number in range(5))
        cli.run("send", "-", stdin=good)  # the same partition key, so the same partition
        deadline = time.monotonic() + 180
        while LIBRARY_SAYS not in cli.run("logs", "functions"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        status = cli.json("status")
        assert status["lag"] == 6
        assert status["documents"] == 0
        assert status["problems"] == []  # it has not stood still for long
        status = cli.json("status", "--stuck-after", "0.1", code=1)
        seconds = {each["id"]: each["stuckSeconds"] for each in status["partitions"]}
        assert seconds.pop(stuck["id"]) > 0.1
        assert set(seconds.values()) == {None}
        (sentence,) = status["problems"]
        assert "6 events wait, from sequence number 0 on" in sentence
        assert f"`everscore partition skip {stuck['id']} --to 0`" in sentence
        table = cli.run("status", "--stuck-after", "0.1", code=1)
        assert "stuck for" in table
        assert sentence.partition(" is stuck")[0] in table
        assert cli.json("status", "--stuck-after", "3600")["problems"] == []
        cli.run("partition", "skip", stuck["id"], "--to", "99", "--yes", code=1)
        assert "past the last event" in cli.said
        answer = cli.json("partition", "skip", stuck["id"], "--to", "0", "--yes")
        assert answer == {"partition": stuck["id"], "skipped": 1}
        passed = {each["id"]: each["checkpoint"] for each in cli.json("status")["partitions"]}
        assert passed[stuck["id"]] > 0  # when the command ends, the host goes on
        cli.settled(documents=5, deadLetters=1)
        # Old, with nothing that waits: that is a quiet partition.
        assert cli.json("status", "--stuck-after", "0")["problems"] == []
        (letter,) = cli.json("deadletters", "list")["letters"]
        shown = json.loads(cli.run("deadletters", "show", letter["name"]))
        assert shown["item"]["body"] == bad
        assert shown["item"]["reason"] == "skipped by an operator"
        cli.run("partition", "skip", stuck["id"], "--to", "0", "--yes", code=1)
        assert "already. If the partition is still stuck" in cli.said
        assert "`everscore restart`" in cli.said
        _checkpoint_goes_back(cli, stuck["id"])


def _checkpoint_goes_back(cli: Cli, partition: str) -> None:
    """Hole 50: as by the late end of a host that lost the partition: all was passed once, and nothing is stuck."""
    storage = cli.json("up")["settings"]["STORAGE"]
    names = {"namespace": "127.0.0.1", "hub": "events", "group": "everscore"}

    async def move_back() -> None:
        async with AsyncBlobServiceClient.from_connection_string(storage) as service:
            await checkpoints.move(service, partition, 2, **names)

    asyncio.run(move_back())
    (sentence,) = cli.json("status", "--stuck-after", "0", code=1)["problems"]
    assert "3 events wait, from sequence number 3 on" in sentence

    async def remember() -> None:  # as housekeeping does where metrics are exported
        async with AsyncBlobServiceClient.from_connection_string(storage) as service:
            blob = service.get_blob_client("claim-checks", f"status/{NAME}.json")
            await blob.upload_blob(msgspec.json.encode({partition: Mark(5, 0, 5)}), overwrite=True)

    asyncio.run(remember())
    status = cli.json("status", "--stuck-after", "0")
    assert status["problems"] == []
    assert status["lag"] == 0  # the next owner reads three events once more, which have their ends


def test_hole_49_an_event_that_cannot_be_received_is_led_past(tmp_path) -> None:
    """Hole 49: its good neighbours become letters with it, what can be read of it too; all are stored once redriven."""
    with cli_in(tmp_path, host=SHORT) as cli:
        connection = cli.json("up", "--free-ports")["settings"]["EVENTHUB"]
        events = [EventData(json.dumps({**FLIGHT, "id": name})) for name in ("before", "odd", "behind")]
        events[1].properties = {"where": {"line": 1}}  # an AMQP map, which the host's client cannot read
        with EventHubProducerClient.from_connection_string(connection, eventhub_name="events") as producer:
            batch = producer.create_batch(partition_id="0")
            for event in events:
                batch.add(event)
            producer.send_batch(batch)
        deadline = time.monotonic() + 180
        while "property where is an AMQP map" not in cli.run("logs", "functions"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert cli.json("status")["lag"] == 3
        assert cli.json("partition", "skip", "0", "--to", "1", "--yes") == {"partition": "0", "skipped": 2}
        cli.settled(documents=1, deadLetters=2)
        letters = [each["name"] for each in cli.json("deadletters", "list")["letters"]]
        shown = [json.loads(cli.run("deadletters", "show", name))["item"] for name in letters]
        assert {json.loads(item["body"])["id"] for item in shown} == {"before", "odd"}
        (odd,) = (item for item in shown if item.get("properties"))
        assert "line" in odd["properties"]["where"]
        cli.run("deadletters", "redrive", "--reason", "skipped", "--yes")
        cli.settled(documents=3, deadLetters=0)

        # With no host there is nobody to go on: the command says so, and what it did stays done.
        stack = Stack.find(cli.state)
        assert stack is not None
        stack.kill(HOST)
        late = "".join(json.dumps({**FLIGHT, "id": name}) + "\n" for name in ("late", "later"))
        cli.run("send", "-", stdin=late)
        (waiting,) = (each for each in cli.json("status", code=None)["partitions"] if each["lag"])
        first = str(waiting["last"] - 1)
        cli.run("partition", "skip", waiting["id"], "--to", first, "--wait", "0", "--yes", code=1)
        assert "Now: restart the Functions host" in cli.said
        assert "within 0 s the host has not gone on behind them" in cli.said
        cli.run("restart")
        cli.settled(documents=4, deadLetters=1)
