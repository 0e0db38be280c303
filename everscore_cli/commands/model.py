"""Models: add one from a file of any library, check, list and try them, begin a new one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from everscore.failures import EverscoreError, Failure
from everscore.score.loading import load_named
from everscore.score.manifest import MANIFEST_FILE, Manifest, parse_manifest
from everscore_cli import project
from everscore_cli.console import counted, err, escape, out, print_json, steps
from everscore_cli.errors import CliError

if TYPE_CHECKING:
    from everscore_models.cost import Cost
    from everscore_models.streaming import StreamChoices

app = typer.Typer(no_args_is_help=True, help="Add a model from a file, and check, list or try models.")

Models = Annotated[
    Path | None,
    typer.Option("--models", help="The folder that holds a folder for each model.", show_default="models/"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")]


def _needs_tools[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Where the tools for models are not installed, a sentence says so."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("everscore"):
                raise
            raise CliError(
                f"`everscore model` needs the package {error.name}: pip install -r models/requirements.txt."
            ) from error

    return run


@app.command()
@_needs_tools
def add(
    file: Annotated[
        Path,
        typer.Argument(
            help="The model: .onnx; .joblib, .pkl or .skops of scikit-learn; .txt of LightGBM; .json or .ubj "
            "of XGBoost; .cbm of CatBoost."
        ),
    ],
    *,
    events: Annotated[Path, typer.Option(help="Events to compare on: CSV, JSON lines or Parquet.")],
    expected: Annotated[
        Path | None,
        typer.Option(help="The library's own predictions, a row an event: where the library is not here."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name; default: that of the file.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="Of two classes, the one whose probability is the value.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="What documents call the classes, in their order, with commas.")
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=A,B,…", help="A column's values in the order of their codes. May be repeated."
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="COLUMN=/FIELD", help="Where a column stands in the events. May be repeated."
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="The events' fields in the order of the model's columns, with commas.")
    ] = None,
    outputs: Annotated[
        str | None, typer.Option(help="The outputs of an ONNX file that are read, with commas.")
    ] = None,
    transform: Annotated[
        str | None, typer.Option(help="softmax or sigmoid, where an ONNX file gives logits.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Load a pickle, which runs the code in it: only of somebody you trust."),
    ] = False,
    accept_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="The share of rows near a split that may differ by 32-bit rounding."),
    ] = 0.01,
    slow: Annotated[
        float, typer.Option(min=0, help="Warn where one event alone takes more microseconds than this.")
    ] = 1000.0,
    version: Annotated[str, typer.Option(help="The model's version.")] = "1.0.0",
    description: Annotated[str, typer.Option(help="One sentence for people.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the model of this name; files of your own stay.")
    ] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Propose a stream.json for such events, in the model's folder.")
    ] = False,
    stream_id: Annotated[
        str | None, typer.Option("--id", metavar="/FIELD", help="With --stream: the events' id.")
    ] = None,
    stream_key: Annotated[
        str | None,
        typer.Option("--key", metavar="/FIELD,…", help="With --stream: the fields of the partition key."),
    ] = None,
    stream_time: Annotated[
        str | None, typer.Option("--time", metavar="/FIELD", help="With --stream: the events' time.")
    ] = None,
    models: Models = None,
    as_json: Json = False,
) -> None:
    """Add a model from a file, if its scores are proved to be its library's own.

    Inputs, types and classes are read from the file and the events. ONNX is compared with the library on the
    events and on rows made from them (nulls, zeros, extremes, unseen texts), by the code that scores in
    production. A difference is a refusal that says which rows differ and why, and nothing is written.
    """
    from everscore_models.adding import Wishes  # noqa: PLC0415 - slow to import
    from everscore_models.adding import add as add_model  # noqa: PLC0415
    from everscore_models.candidate import Choices  # noqa: PLC0415
    from everscore_models.streaming import StreamChoices  # noqa: PLC0415

    if not stream and (stream_id or stream_key or stream_time):
        raise CliError("--id, --key and --time are about stream.json: add --stream.")
    if transform not in (None, "softmax", "sigmoid"):
        raise CliError(f"--transform is softmax or sigmoid, not '{transform}'.")
    stream_choices = None
    if stream:
        stream_choices = StreamChoices(id=stream_id, key=_list(stream_key), time=stream_time)
        if sys.stdin.isatty() and not as_json:
            stream_choices = _asked(events, stream_choices)
    choices = Choices(
        positive=positive,
        labels=_list(labels),
        categories={
            column: [_scalar(each) for each in _list(values)]
            for column, values in _pairs(categories, "A,B,…")
        },
        outputs=_list(outputs),
        transform=transform,
        trust=trust,
    )
    wishes = Wishes(
        path=file,
        events=events,
        models=_models(models),
        name=name,
        expected=expected,
        choices=choices,
        columns=_list(columns),
        inputs=dict(_pairs(inputs, "/FIELD")),
        version=version,
        description=description,
        accept_share=accept_share,
        slow=slow,
        replace=replace,
        stream=stream_choices,
    )
    with _working() as advance:
        added = add_model(wishes, advance)
    if as_json:
        shown = {"folder": str(added.folder), **_row(added.manifest), "notes": list(added.notes)}
        print_json(shown | {"cost": added.cost.document()})
        return
    for note in added.notes:
        err.print(f"[yellow]note[/] {escape(note)}", highlight=False, soft_wrap=True)
    out.print(
        f"Added {escape(str(added.folder))}: {_compared(added.manifest)}.", highlight=False, soft_wrap=True
    )
    out.print(f"{_cost(added.cost)}.", highlight=False, soft_wrap=True)


def _asked(events: Path, given: StreamChoices) -> StreamChoices:
    """What stream.json is to name, where the options do not say it; the names of the fields give defaults."""
    from everscore_models.streaming import StreamChoices, found_in  # noqa: PLC0415 - slow to import
    from everscore_models.tables.reading import read_batches  # noqa: PLC0415

    first = next(read_batches(events, size=1))[0]
    if not isinstance(first, dict):
        return given  # which is told as that
    found = found_in(first, given)
    out.print(f"The events have the fields {escape(', '.join(map(str, first)))}.", highlight=False)
    id_at = given.id or typer.prompt("An event's id stands at", default=found.id)
    key = given.key or _list(typer.prompt("Its partition key stands at (commas between)", default=id_at))
    time_at = given.time
    if time_at is None:
        said = typer.prompt("Its time stands at (nothing: the hub's own)", default=found.time or "")
        time_at = said or None
    return StreamChoices(
        id=_pointer(id_at), key=[_pointer(each) for each in key], time=time_at and _pointer(time_at)
    )


def _pointer(name: str) -> str:
    """The JSON Pointer that somebody means who gives the name of a field."""
    from everscore_models.tables.columns import pointer_of  # noqa: PLC0415 - slow to import

    return pointer_of(name.strip())


@app.command()
@_needs_tools
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Models; none: all.")] = None,
    *,
    models: Models = None,
    as_json: Json = False,
) -> None:
    """Check that a model's files belong together, load, and still give the scores of their export.

    Also its golden rows, each event alone and among others, made-up rows of each class, and the cost. Exits 1
    at the first mistake.
    """
    from everscore_models.proofs import prove  # noqa: PLC0415 - slow to import

    found = []
    for folder in _folders(_models(models), names):
        with _working() as advance:
            advance(f"check {folder.name}")
            proof = prove(folder)
        manifest = proof.model.manifest
        cost = None if proof.cost is None else proof.cost.document()
        found.append(
            _row(manifest)
            | {
                "goldenRows": proof.golden,
                "sampleRows": proof.rows,
                "classesSeen": proof.classes[0],
                "warnings": list(proof.warnings),
                "cost": cost,
            }
        )
        if as_json:
            continue
        scores = (
            f"{counted(proof.golden, 'golden row')} and {counted(proof.rows, 'sample score')} are the same"
            if proof.golden or proof.rows
            else "no scores were compared, since it has no sample"
        )
        priced = "" if proof.cost is None else f"; {_cost(proof.cost)}"
        out.print(
            f"{manifest.name} {manifest.version}: the files belong together, {scores}; "
            f"{_compared(manifest)}{priced}.",
            highlight=False,
            soft_wrap=True,
        )
        for warning in proof.warnings:
            err.print(
                f"[yellow]warning[/] {manifest.name}: {escape(warning)}", highlight=False, soft_wrap=True
            )
    if as_json:
        print_json(found)


@app.command("list")
def list_models(*, models: Models = None, as_json: Json = False) -> None:
    """List the models: name, version, hash, kind, what they were compared with, and their cost."""
    rows = []
    for folder in _folders(_models(models), None):
        try:
            manifest = parse_manifest(
                (folder / MANIFEST_FILE).read_bytes(), where=str(folder / MANIFEST_FILE)
            )
        except EverscoreError as error:
            rows.append({"name": folder.name, "error": str(error)})
            continue
        rows.append(_row(manifest) | {"microsecondsPerEvent": _stored_cost(folder)})
    if as_json:
        print_json(rows)
        return
    table = Table("name", "version", "sha256", "kind", "compared", "difference", "µs/event", box=None)
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], "", "", "", escape(row["error"]), "", "")
            continue
        off, cost = row["largestDifference"], row["microsecondsPerEvent"]
        table.add_row(
            row["name"],
            row["version"],
            row["sha256"][:12],
            row["kind"],
            row["compared"],
            "" if off is None else f"{off:.1g}",
            "" if cost is None else f"{cost:g}",
        )
    out.print(table)


@app.command("try")
@_needs_tools
def try_model(
    name: Annotated[str, typer.Argument(help="The model.")],
    file: Annotated[Path, typer.Argument(help="Events: CSV, JSON lines or Parquet.")],
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Events that are scored.")] = 10,
    models: Models = None,
    as_json: Json = False,
) -> None:
    """Score the first events of a file, without a stack. Exits 1 if one of them cannot be scored."""
    from everscore_models.tables.columns import types_of  # noqa: PLC0415 - slow to import
    from everscore_models.tables.reading import read_batches  # noqa: PLC0415

    (folder,) = _folders(_models(models), [name])
    model = load_named(folder)
    rows = chain.from_iterable(read_batches(file, types_of(model.manifest.inputs), min(count, 1_000)))
    payloads = list(islice(rows, count))
    scored = model.score(payloads)
    shown: list[dict[str, Any]] = [
        {"row": number, "error": each.detail or each.reason}
        if isinstance(each, Failure)
        else {"row": number, "label": each.label, "value": each.value, "values": each.values}
        for number, each in enumerate(scored, start=1)
    ]
    if as_json:
        print_json(shown)
    else:
        table = Table("row", "label", "value", "values", box=None)
        for one in shown:
            values = ", ".join(f"{key} {value:.6g}" for key, value in one.get("values", {}).items())
            cells = (one.get("label") or "", f"{one['value']:.6g}", values) if "value" in one else ()
            table.add_row(str(one["row"]), *(escape(each) for each in cells or ("", "", one["error"])))
        out.print(table)
    if any("error" in each for each in shown):
        raise typer.Exit(1)


@app.command()
@_needs_tools
def new(name: Annotated[str, typer.Argument(help="The new model's name.")], *, models: Models = None) -> None:
    """Begin a model that is trained here: its folder with a train.py to fill in."""
    from everscore_models.adding import checked_name  # noqa: PLC0415 - slow to import
    from everscore_models.template import TRAIN  # noqa: PLC0415

    folder = _models(models) / checked_name(name)
    if folder.exists():
        raise CliError(f"There is a folder {folder} already: choose another name.")
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN.format(name=name), encoding="utf-8")
    out.print(
        f"Wrote {escape(str(folder / 'train.py'))}: fill it in, then python -m everscore_models train {name}",
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _working() -> Iterator[Callable[[str], None]]:
    with steps() as progress:
        task = progress.add_task("", total=None)
        yield lambda stage: progress.update(task, description=stage)


def _models(given: Path | None) -> Path:
    return given if given is not None else project.app_folder() / "models"


def _folders(models: Path, names: Sequence[str] | None) -> list[Path]:
    known = sorted(path.parent for path in models.glob(f"*/{MANIFEST_FILE}") if path.parent.name[0] != ".")
    if not names:
        return known
    by_name = {each.name: each for each in known}
    for name in names:
        if name not in by_name:
            raise CliError(
                f"There is no model '{name}' in {models}: there are {', '.join(by_name) or 'none'}."
            )
    return [by_name[name] for name in names]


def _row(manifest: Manifest) -> dict[str, Any]:
    parity = manifest.parity
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": manifest.sha256,
        "kind": str(manifest.kind),
        "compared": "nothing" if parity is None else parity.compared,
        "rows": 0 if parity is None else parity.rows,
        "largestDifference": None if parity is None or not parity.rows else parity.largest_difference,
    }


def _compared(manifest: Manifest) -> str:
    parity = manifest.parity
    if parity is None or parity.compared == "nothing":
        return "nothing was compared with the library that trained it"
    what = "the library" if parity.compared == "library" else "a file of predictions"
    return (
        f"compared with {what} on {counted(parity.rows, 'row')}, largest difference "
        f"{parity.largest_difference:.2g}"
    )


def _cost(cost: Cost) -> str:
    memory = "" if cost.memory is None else f", {cost.memory / 1e6:,.0f} MB of memory"
    return (
        f"{cost.microseconds[1]:,.0f} µs for one event alone, {cost.microseconds[256]:,.1f} in batches of "
        f"256; {cost.size / 1e6:,.2f} MB{memory}"
    )


def _stored_cost(folder: Path) -> float | None:
    from everscore_models.cost import stored  # noqa: PLC0415 - psutil

    return stored(folder)


def _list(text: str | None) -> list[str]:
    return [] if text is None else [each.strip() for each in text.split(",") if each.strip()]


def _pairs(given: Sequence[str] | None, form: str) -> list[tuple[str, str]]:
    found = []
    for each in given or ():
        name, is_pair, value = each.partition("=")
        if not is_pair or not name or not value:
            raise CliError(f"'{each}' is not COLUMN={form}.")
        found.append((name, value))
    return found


def _scalar(text: str) -> bool | int | float | str:
    """A category as JSON has it; a text that begins with zeros stays one."""
    if text in ("true", "false"):
        return text == "true"
    digits = text.removeprefix("-")
    if digits.isdecimal() and (digits == "0" or digits[0] != "0"):
        return int(text)
    return text
