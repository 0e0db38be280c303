"""The ``everscore`` command in a folder of its own, as its user runs it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from everscore_cli.main import main
from everscore_local.stack import Stack
from tests.support.app import copy_app
from tests.support.services import ROOT


class Cli:
    """The command, run in the folder of an app with a state folder of its own."""

    def __init__(self, app: Path, state: Path) -> None:
        self.app, self.state = app, state
        settings = {"EVENTHUB", "COSMOS", "STORAGE", "AzureWebJobsStorage"}
        self.environment = {name: value for name, value in os.environ.items() if name not in settings}
        self.environment["EVERSCORE_STATE"] = str(state)

    def run(self, *arguments: str, stdin: str = "", code: int | None = 0) -> str:
        """Run it; its stdout. The exit code must be `code` (None: any), and there is never a trace.

        In this process, where importing the SDKs is paid for once: the command is a function, and what it
        leaves behind would fail the test.
        """
        # Over bytes, since some of what is printed is no text.
        printed, said = io.BytesIO(), io.StringIO()
        out = io.TextIOWrapper(printed, encoding="utf-8", newline="", write_through=True)
        levels = {name: logging.getLogger(name).level for name in ("azure", "uamqp")}
        environment = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment)
        try:
            with contextlib.chdir(self.app), redirect_stdout(out), redirect_stderr(said), _stdin(stdin):
                try:
                    main(list(arguments))
                except SystemExit as leave:
                    result = leave.code
        finally:
            os.environ.clear()
            os.environ.update(environment)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
        self.said, text = said.getvalue(), printed.getvalue().decode(errors="replace")
        assert code in (None, result), f"{arguments}: {result}\n{text}\n{self.said}"
        assert "Traceback" not in self.said
        return text

    def json(self, *arguments: str, stdin: str = "", code: int | None = 0) -> Any:
        """Run it with --json; what it printed."""
        return json.loads(self.run(*arguments, "--json", stdin=stdin, code=code))

    def settled(self, **wanted: int) -> dict[str, Any]:
        """The status once its numbers are these and nothing waits."""
        deadline = time.monotonic() + 180
        while True:
            status: dict[str, Any] = self.json("status")
            waiting = status["lag"] + status["retryQueueMessages"] + status["poisonQueueMessages"]
            if waiting == 0 and all(status[name] == number for name, number in wanted.items()):
                return status
            assert time.monotonic() < deadline, json.dumps(status)
            time.sleep(0.3)  # each status asks all services, which takes from those that do the work


@contextmanager
def _stdin(text: str) -> Iterator[None]:
    """The text at file descriptor 0, where programs read it."""
    kept, before = os.dup(0), sys.stdin
    try:
        with tempfile.TemporaryFile() as file:
            file.write(text.encode())
            file.seek(0)
            os.dup2(file.fileno(), 0)
            with open(0, closefd=False) as sys.stdin:
                yield
    finally:
        sys.stdin = before
        os.dup2(kept, 0)
        os.close(kept)


@contextmanager
def cli_in(folder: Path, **changes: Any) -> Iterator[Cli]:
    """The command in a copy of the app; whatever it leaves running is ended.

    Args:
        folder: where the copy and its state go.
        changes: see `copy_app`.
    """
    app = copy_app(folder / "app", **changes)
    events = Path("models", "flights", "events.jsonl.gz")
    (app / events).symlink_to(ROOT / events)
    shutil.copy(ROOT / "local.settings.example.json", app)
    state = folder / "state"
    try:
        yield Cli(app, state)
    finally:
        if (stack := Stack.find(state)) is not None:
            stack.stop()
