"""The command ``python -m everscore_models``: train a model, check models, write the schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import onnxruntime
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from everscore.config.checked_json import HIDDEN_STEP
from everscore.failures import EverscoreError
from everscore.score.manifest import MANIFEST_FILE, manifest_schema
from everscore_models.check import check
from everscore_models.errors import ExportError
from everscore_models.export import export
from everscore_models.trained import TRAIN_FILE, Trained, load_training
from everscore_models.writing import SAMPLE_FILE

ROOT = Path(__file__).resolve().parent.parent
SCHEMA_PATH = ROOT / "everscore" / "schemas" / "model.schema.json"

_STAGES = 4  # train, convert, compare, write

app = typer.Typer(
    help="From a scikit-learn pipeline to a checked ONNX model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Models = Annotated[
    Path,
    typer.Option("--models", help="The folder that holds a folder for each model.", show_default="./models"),
]


@app.command("train")
def train_command(
    name: Annotated[str, typer.Argument(help="The model's folder.")], models: Models = ROOT / "models"
) -> None:
    """Train a model with its train.py, compare ONNX with scikit-learn, and write its files."""
    folder = _folder(models, name)
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{name}: train", total=_STAGES)

        def advance(stage: str) -> None:
            progress.update(task, advance=1, description=f"{name}: {stage}")

        trained = load_training(folder)()
        if not isinstance(trained, Trained):
            raise ExportError(
                f"'train' of {folder / TRAIN_FILE} returned {type(trained).__name__}: it must return "
                "everscore_models.Trained."
            )
        manifest = export(trained, folder, advance)
        progress.update(task, completed=_STAGES, description=f"{name}: written")
    for metric, value in (manifest.training.metrics if manifest.training else {}).items():
        typer.echo(f"{metric}: {value:g}")
    if manifest.parity:
        typer.echo(
            f"ONNX and scikit-learn agree on {manifest.parity.rows} rows "
            f"(largest difference {manifest.parity.largest_difference:g}, "
            f"tolerance {manifest.parity.tolerance:g})"
        )
    typer.echo(f"wrote {folder}, version {manifest.version}, model.onnx SHA-256 {manifest.sha256}")


@app.command("check")
def check_command(
    names: Annotated[list[str] | None, typer.Argument(help="Folders of models; none: all.")] = None,
    models: Models = ROOT / "models",
) -> None:
    """Check that a model's files belong together, load, and still give the scores of their export."""
    for name in names or sorted(path.parent.name for path in models.glob(f"*/{MANIFEST_FILE}")):
        checked = check(_folder(models, name))
        scores = (
            f"{checked.rows} sample scores are the same (largest difference {checked.largest:.1g})"
            if checked.rows
            else f"no scores were compared, since there is no {SAMPLE_FILE}"
        )
        typer.echo(
            f"{name} {checked.model.version}: the files belong together, onnxruntime "
            f"{onnxruntime.__version__} loads them, {scores}"
        )


@app.command("schema")
def schema_command() -> None:
    """Write the JSON Schema of manifests anew."""
    SCHEMA_PATH.write_text(json.dumps(manifest_schema(), indent=2) + "\n", encoding="utf-8")
    typer.echo(f"wrote {SCHEMA_PATH}")


def _folder(models: Path, name: str) -> Path:
    folder = models / name
    if not folder.is_dir():
        known = ", ".join(sorted(path.parent.name for path in models.glob(f"*/{TRAIN_FILE}"))) or "none"
        raise ExportError(f"There is no folder {folder}: the models with a {TRAIN_FILE} are {known}.")
    return folder


def main() -> None:
    """Runs the command; a mistake is one sentence on stderr and exit code 1."""
    try:
        app(prog_name="python -m everscore_models")
    except EverscoreError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except ValidationError as error:  # of an Input or Default in somebody's train.py
        for each in error.errors(include_url=False):
            field = ".".join(str(step) for step in each["loc"] if not str(step).startswith(HIDDEN_STEP))
            message = str(each["msg"]).removeprefix("Value error, ")
            typer.echo(f"{TRAIN_FILE}, {error.title}: {field + ': ' if field else ''}{message}.", err=True)
        sys.exit(1)
