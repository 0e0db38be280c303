"""Looks at an app before it is started: a mistake is told at once, not after events have come in."""

from __future__ import annotations

import shutil
from pathlib import Path

from everscore.failures import Failure
from everscore.scoring import load_model
from everscore.stream import load_stream
from everscore_cli.errors import CliError


def check_app(app: Path) -> None:
    """Load what the app will load: stream.json and its model.

    Raises:
        CliError: the model is missing or unreadable.
        ManifestError: stream.json or the model's manifest is wrong.
    """
    stream = load_stream(app / "stream.json")
    try:
        load_model(app / "models" / stream.model)
    except Failure as failure:
        raise CliError(f"The model {stream.model!r} cannot be used: {failure.detail}") from failure


def check_node() -> None:
    """Look for Node, which two of the stand-ins run on.

    Raises:
        CliError: there is none.
    """
    if shutil.which("node") is None:
        raise CliError("Node 20 or later is needed for the local stack and no `node` is on PATH.")
