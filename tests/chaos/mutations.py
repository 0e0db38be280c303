"""Mechanisms of the product, each taken out in turn: the group that needs it must then fail.

A mechanism of the app is taken out of a copy: of the app that the group runs, or of ``everscore``, with one
place changed, which comes first on the worker's path. The child process is taken out of the host
by ``tests.chaos.one_process``.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.bench import without_budget_check
from tests.chaos.run import HOST_MODULE, Mutate
from tests.support.services import ROOT


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism.

    Attributes:
        group: the group that needs it.
        what: what is changed, in words.
        take_out: changes an app's copy, or how its host is run, so that it is gone.
    """

    group: str
    what: str
    take_out: Mutate


def _replaced(file: str, old: str, new: str) -> Mutate:
    """One place of one file of a copy of the package, which comes first on the worker's path."""

    def take_out(app: Path, settings: dict[str, str]) -> str:
        folder = app.parent / "without"
        settings["PYTHONPATH"] = str(folder)
        if (
            not folder.exists()
        ):  # a group may run several copies of the app: one copy of the package is enough
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / "everscore", folder / "everscore", ignore=ignore)
            path = folder / file
            text = path.read_text()
            if text.count(old) != 1:
                raise ValueError(f"{file} has changed: {old!r} is there {text.count(old)} times")
            path.write_text(text.replace(old, new))
        return HOST_MODULE

    return take_out


def _no_policy(app: Path, _settings: dict[str, str]) -> str:
    path = app / "function_app" / "__init__.py"
    text = path.read_text()
    begin = text.index("@app.retry(")
    end = text.index("async def score_events")
    path.write_text(text[:begin] + text[end:])
    return HOST_MODULE


def _no_deadline(app: Path, settings: dict[str, str]) -> str:
    without_budget_check(app)
    settings |= {"BATCH_DEADLINE_SECONDS": "80000", "TIME_BUDGET_SECONDS": "86400"}
    return HOST_MODULE


def _one_process(_app: Path, _settings: dict[str, str]) -> str:
    return "tests.chaos.one_process"


MECHANISMS: dict[str, Mechanism] = {
    "retry-policy": Mechanism("g07", "the decorator @app.retry of score_events is removed", _no_policy),
    "identity-compare": Mechanism(
        "g09",
        "whatever stands in the store counts as older: every 409 ends in a replace",
        _replaced(
            "everscore/store/chunk.py",
            "            if not newer:\n",
            "            if not newer and False:\n",
        ),
    ),
    "bisect": Mechanism(
        "g11",
        "a call of the model that raises is the failure of all its rows",
        _replaced(
            "everscore/score/onnx.py",
            "if isinstance(outcome, Exception) and not isinstance(outcome, Retryable) and len(part) > 1:",
            "if False:",
        ),
    ),
    "claim-check": Mechanism(
        "g12",
        "an item too large for a message is sent as it is",
        _replaced(
            "everscore/retry/packing.py",
            "    if message is not None and len(message) <= MESSAGE_LIMIT:\n",
            "    if message is not None and (len(items) == 1 or len(message) <= MESSAGE_LIMIT):\n",
        ),
    ),
    "deadline": Mechanism(
        "g01",
        "BATCH_DEADLINE_SECONDS and TIME_BUDGET_SECONDS are a day",
        _no_deadline,
    ),
    "brake": Mechanism(
        "g11",
        "the brake stops no event of the hub",
        _replaced(
            "everscore/flow/score_events.py",
            "        waiting = to_wait(events, batch, verdict)\n",
            "        waiting = to_wait([], batch, verdict)\n",
        ),
    ),
    "child-process": Mechanism("g07", "the worker's death is the host's: both are one process", _one_process),
}
