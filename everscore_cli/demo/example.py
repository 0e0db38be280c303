"""The example's events, which are there whatever stream.json has been made to say."""

from __future__ import annotations

import shutil
from pathlib import Path

from everscore.event.stream import load_stream
from everscore_cli.errors import CliError

MODEL = "flights"
FOLDER = Path("models") / MODEL
EVENTS = FOLDER / "events.jsonl.gz"
STREAM = FOLDER / "stream.json"


def is_of_example(app: Path) -> bool:
    """Whether the app's stream.json finds and scores flights; how it spreads them over keys is free.

    Raises:
        ManifestError: one of the two is wrong.
    """
    own, example = load_stream(app / "stream.json").manifest, load_stream(app / STREAM).manifest
    return (own.unwrap, own.id, own.time, own.used_models()) == (
        example.unwrap,
        example.id,
        example.time,
        example.used_models(),
    )


def app_of_example(app: Path, folder: Path) -> Path:
    """The app where its stream.json is that of the flights, else a copy of it in ``folder`` that is.

    Raises:
        CliError: the example is gone.
        ManifestError: stream.json is wrong.
    """
    if not (app / STREAM).is_file():
        raise CliError(f"{FOLDER} is not there any more: the flights that are sent come with it.")
    if is_of_example(app):
        return app
    shutil.copytree(
        app / "function_app", folder / "function_app", ignore=shutil.ignore_patterns("__pycache__")
    )
    for each in load_stream(app / STREAM).models:
        shutil.copytree(app / "models" / each.name, folder / "models" / each.name)
    for name in ("function_app.py", "host.json"):
        shutil.copy(app / name, folder)
    shutil.copy(app / STREAM, folder / "stream.json")
    return folder
