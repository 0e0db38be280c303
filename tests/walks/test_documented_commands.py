"""Every command that a document shows is run by a test, or is said, once, to be untested."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from everscore.event.item import Item, Source
from everscore.retry.names import blob_name
from everscore_cli.main import COMMANDS, build

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

THROTTLE = """curl --json '{"rus": 400, "seconds": 20}' http://127.0.0.1:8082/throttle"""

# Which test runs each sub-command of `everscore`; here each documented line is checked to be one it takes.
STACK = "tests/walks/test_cli_stack.py::test_a_day_with_the_local_stack"
HERE = "tests/walks/test_documented_commands.py::test_the_stand_ins_alone"
OWN_MODEL = "tests/models/test_documentation.py::test_your_own_model_in_ten_minutes"
BOTH_FILES = (
    "printf '%s\\n%s' \"$(sha256sum < model.onnx | cut -d' ' -f1)\" "
    "\"$(sha256sum < features.py | cut -d' ' -f1)\" | sha256sum"
)
OPERATORS = "tests/walks/test_cli_operators.py::"
RUN_BY = {
    **dict.fromkeys(("up", "down", "send", "query", "status", "logs", "restart", "reset"), STACK),
    "score": "tests/walks/test_cli_score.py::test_scores_as_csv_and_parquet",
    "services": HERE,
    "provision": HERE,
    "deadletters": f"{OPERATORS}test_dead_letters_are_listed_shown_exported_redriven_and_purged",
    "replay": f"{OPERATORS}test_a_range_of_the_hub_is_replayed_and_changes_nothing",
    "model": "tests/models/test_adding.py::test_add_check_list_and_try",
    "partition": f"{OPERATORS}test_hole_49_a_partition_that_stands_still_is_led_on",
}

# The other commands, and what runs them.
ELSEWHERE = {
    "make run": "tests/walks/test_cli_run.py::test_a_run_adds_up_and_leaves_nothing",
    "make test": ".ci/run::make test",  # what runs this very test
    "make services": HERE,
    "make chaos": "tests/promises/test_6_chaos_short.py::test_the_most_telling_fault_of_each_group",  # its short form
    "python -m tests.fuzz --seconds 60": "tests/fuzz/test_fuzz.py::test_some_fuzzing_breaks_no_promise",
    ".venv/bin/pytest tests/fuzz": "dev.py::pytest",  # a part of `make test`
    "python3 dev.py setup": "tests/unit/test_setup_files.py::test_every_make_target_is_an_alias",
    "python -m everscore_models train pumps": OWN_MODEL,
    "python -m everscore_models check pumps": OWN_MODEL,
    BOTH_FILES: "tests/models/test_documentation.py::test_hole_37_the_hash_of_a_model_with_features",
    "make lint": "dev.py::LINT",  # what `make test` begins with
    "make format": "tests/unit/test_setup_files.py::test_every_make_target_is_an_alias",
    ".venv/bin/pytest tests/unit": "dev.py::pytest",  # a part of `make test`
    "source .venv/bin/activate": HERE,
    THROTTLE: HERE,
}

# Those that cannot be run on a machine without the program, which the page on what is untested names.
NOT_RUN_HERE = {
    "func start": "Core Tools",
    "ACCEPT_EULA=Y docker compose up --detach --wait": "a Docker engine",
    "ACCEPT_EULA=Y docker compose down": "a Docker engine",
}

# The same for every command of a program that works on Azure.
NOT_RUN_PROGRAMS = dict.fromkeys(("az", "azd", "func azure"), "an Azure subscription")

UNTESTED = (ROOT / "docs/README.md").read_text(encoding="utf-8").partition("\n## What is untested\n")[2]


def documented() -> Iterator[tuple[str, str, str]]:
    """Each command in a shell block: the page, the command, and the page's text."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.findall(text):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip() and not line.startswith("#"):
                    yield page.name, line.strip(), text


DOCUMENTED = list(documented())


def missing_here(command: str) -> str | None:
    """What this machine lacks to run a command; None where it lacks nothing."""
    programs = (lack for program, lack in NOT_RUN_PROGRAMS.items() if command.startswith(f"{program} "))
    return NOT_RUN_HERE.get(command) or next(programs, None)


def parse(line: str) -> str:
    """The sub-command of an `everscore` line; typer refuses options and arguments that it does not have."""
    words = shlex.split(line.partition(" < ")[0])
    name = words[1]
    assert name in COMMANDS, f"everscore has no command {name}"
    command = typer.main.get_command(build([name]))
    with command.make_context("everscore", [name]) as context:
        _, found, rest = command.resolve_command(context, words[1:])
        found.make_context(name, rest, parent=context).close()
    return name


def assert_is_there(place: str) -> None:
    """That the test, or the line of a program, that is named as running something is there."""
    path, _, name = place.partition("::")
    assert name in (ROOT / path).read_text(encoding="utf-8"), place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    """No command escapes these tests in a block without a language."""
    fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(fences[::2])


@pytest.mark.parametrize(
    ("page", "command", "text"), DOCUMENTED, ids=[f"{page}: {command}" for page, command, _ in DOCUMENTED]
)
def test_each_command_is_run_or_said_not_to_be(page: str, command: str, text: str) -> None:
    """A documented command is one that a test runs, or its page leads to what is untested, and why."""
    lack = missing_here(command)
    if lack:
        assert "README.md#what-is-untested" in text, f"{page} must say of `{command}` that it is untested"
        program = next(word for word in command.split() if "=" not in word)
        assert re.search(rf"^\| {lack} \|.*`{program}\b", UNTESTED, re.MULTILINE), f"{program} is not listed"
    elif command.startswith("everscore "):
        assert_is_there(RUN_BY[parse(command)])
    else:
        assert_is_there(ELSEWHERE[command])


def test_hole_41_what_is_untested_is_said_once() -> None:
    """Hole 41: no page but the one on what is untested explains that something was not run."""
    said = {
        page.name for page in PAGES if re.search("not run here|at hand", page.read_text(encoding="utf-8"))
    }
    assert said <= {"host-json.md"}  # whose batches are at hand
    assert UNTESTED


def test_hole_41_the_documents_count_the_workers_that_run_the_tests() -> None:
    """Hole 41: CONTRIBUTING says how many workers `make test` takes."""
    number = re.search(r'"-n", "(\d)"', (ROOT / "dev.py").read_text(encoding="utf-8"))
    assert number
    words = {
        "1": "one worker",
        "2": "two workers",
        "3": "three workers",
        "4": "four workers",
        "5": "five workers",
    }
    assert f"run on {words[number[1]]}, " in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_hole_41_a_dead_letter_has_the_name_that_the_documents_show() -> None:
    """Hole 41: the names in README and the page on dead letters are those that the app gives."""
    pattern = re.compile(r"(\d{4})/(\d\d)/(\d\d)/(\d\d)/(\d\d)(\d\d)(\d*)-(\w+)-(\d+)-(\d+)-(\d+)\.json")
    for page in ("README.md", "docs/dead-letters.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        found = list(pattern.finditer(text))
        assert len(found) == len(re.findall(r"\d{4}/\d\d/\d\d/\S+\.json", text)) > 0, page
        for match in found:
            *day, minute, second, fraction, hub, partition, sequence, index = match.groups()
            year, month, date, hour = day
            enqueued = f"{year}-{month}-{date}T{hour}:{minute}:{second}.{fraction or 0}Z"
            source = Source(
                hub=hub,
                partition=partition,
                sequence_number=int(sequence),
                enqueued_at=enqueued,
                index=int(index),
            )
            assert blob_name(Item(source=source)) == match[0]


def test_no_entry_is_stale() -> None:
    """What the tables above hold is still documented somewhere."""
    commands = {command for _, command, _ in DOCUMENTED}
    for program in NOT_RUN_PROGRAMS:
        assert any(command.startswith(f"{program} ") for command in commands), program
    assert {*ELSEWHERE, *NOT_RUN_HERE} - commands == set()
    assert (
        set(RUN_BY) - {command.split()[1] for command in commands if command.startswith("everscore ")}
        == set()
    )


def test_a_wrong_line_would_be_noticed() -> None:
    """An option that a command does not have, in a document, is refused."""
    assert parse("everscore send --count 5") == "send"
    with pytest.raises(Exception, match="No such option"):
        parse("everscore send --cuont 5")


def test_every_command_is_documented() -> None:
    """The table of the page on the local stack has each sub-command."""
    page = (ROOT / "docs/local.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `everscore (\w+)` \|", page, re.MULTILINE)) == set(COMMANDS)


def test_the_stand_ins_alone(tmp_path: Path) -> None:
    """The way of those who have Core Tools: activate, start the stand-ins, provision, throttle, stop."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    state = tmp_path / "state"
    environment = {**os.environ, "EVERSCORE_STATE": str(state)}
    environment["PATH"] = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if folder != f"{sys.prefix}/bin"
    )

    def type_in(command: str) -> str:
        # The environment must have the command: nothing else has it on the PATH.
        line = f"source .venv/bin/activate && {command}"
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    try:
        type_in("everscore services --detach --free-ports")
        assert "Everything was there already" in type_in("everscore provision")
        # What curl would do, since curl is not on every machine.
        _, _, body, url = shlex.split(THROTTLE)
        port = json.loads((state / "stack.json").read_text(encoding="utf-8"))["ports"]["cosmos_control"]
        request = urllib.request.Request(
            url.replace(":8082/", f":{port}/"), body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    finally:
        assert "Stopped: eventhubs, cosmos, azurite." in type_in("everscore down")
