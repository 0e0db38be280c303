"""The ``everscore`` command in a folder of its own, as its user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Run it; its stdout. The exit code must be `code`, and there is never a trace."""
        result = subprocess.run(
            [sys.executable, "-m", "everscore_cli.main", *arguments],
            cwd=self.app,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == code, (
            f"{arguments}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        )
        assert "Traceback" not in result.stderr
        self.said = result.stderr
        return result.stdout

    def json(self, *arguments: str, stdin: str = "", code: int = 0) -> Any:
        """Run it with --json; what it printed."""
        return json.loads(self.run(*arguments, "--json", stdin=stdin, code=code))

    def settled(self, **wanted: int) -> dict[str, Any]:
        """The status once its numbers are these and nothing waits."""
        deadline = time.monotonic() + 60
        while True:
            status = self.json("status")
            waiting = status["lag"] + status["retryQueueMessages"] + status["poisonQueueMessages"]
            if waiting == 0 and all(status[name] == number for name, number in wanted.items()):
                return status
            assert time.monotonic() < deadline, json.dumps(status)


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
