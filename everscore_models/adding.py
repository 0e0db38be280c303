"""Adds a model out of a file: read, compared with its library's own answers, and only then written, whole."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from everscore.event.scores import Scores
from everscore.failures import Failure, ManifestError
from everscore.score.golden import GOLDEN_FILE
from everscore.score.input_form import Input
from everscore.score.loading import load_model
from everscore.score.manifest import MANIFEST_FILE, MODEL_FILE, Manifest
from everscore.score.model import Model
from everscore_models.candidate import Answer, Candidate, Choices, Column
from everscore_models.cost import Cost, cost_of
from everscore_models.diagnosis import refusal
from everscore_models.errors import ExportError
from everscore_models.never_missing import refusing, to_refuse
from everscore_models.parity import MAX_TIES, Comparison, golden_of, measure
from everscore_models.payloads import FEATURES_FILE, describe_features
from everscore_models.predictions import answers_of
from everscore_models.probabilities import refuse_logits
from everscore_models.probes import Probe, evenly, probes
from everscore_models.proposing import propose
from everscore_models.rounding import agree_when_rounded
from everscore_models.sources import choosing
from everscore_models.sources.described import type_of
from everscore_models.streaming import StreamChoices, propose_stream
from everscore_models.tables.columns import pointer_of
from everscore_models.tables.reading import read_rows
from everscore_models.trained import Payload
from everscore_models.writing import (
    EXPECTED_FILE,
    SAMPLE_FILE,
    document_of,
    parity_of,
    write_golden,
    write_manifest,
    write_sample,
)

METRICS_FILE = "metrics.json"
STREAM_FILE = "stream.json"
ACCEPT_SHARE = 0.01
"""The share of rows near a split that is accepted."""
SLOW = 1000.0
"""Microseconds an event from which on a warning is given."""

# Events whose numbers are looked at for whether they are probabilities.
_LOOKED_AT = 200
_SAMPLE_ROWS = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_OURS = (
    MODEL_FILE,
    MANIFEST_FILE,
    SAMPLE_FILE,
    EXPECTED_FILE,
    GOLDEN_FILE,
    METRICS_FILE,
    FEATURES_FILE,
    STREAM_FILE,
)

type Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What is to be added, and how.

    Attributes:
        path: the model's file.
        events: a table of events: CSV, JSON lines or Parquet.
        models: the folder that holds a folder for each model.
        name: the model's; default: that of the file.
        expected: a table of predictions, one row an event.
        choices: what the file does not say.
        columns: the events' fields in the order of the model's columns.
        inputs: by column, the pointer or name of its field.
        version: of the model.
        description: one sentence for people.
        accept_share: the share of rows near a split that is accepted.
        slow: microseconds an event, in batches of one, from which on a warning is given.
        replace: whether a folder of that name is replaced.
        stream: whether, and with what, a stream.json is proposed.
    """

    path: Path
    events: Path
    models: Path
    name: str | None = None
    expected: Path | None = None
    choices: Choices = field(default_factory=Choices)
    columns: Sequence[str] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    version: str = "1.0.0"
    description: str = ""
    accept_share: float = ACCEPT_SHARE
    slow: float = SLOW
    replace: bool = False
    stream: StreamChoices | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was added, what it costs, and sentences for the person who added it."""

    folder: Path
    manifest: Manifest
    cost: Cost
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Compared:
    comparison: Comparison
    what: str
    rounded: float


class _NeverMissingError(ExportError):
    """Inputs are missing in no event, and where they were, ONNX would say something else."""

    def __init__(self, names: Sequence[str], library: str) -> None:
        self.names = names
        said = ", ".join(f"'{name}'" for name in names)
        super().__init__(
            f"{said}: missing in no event, and ONNX scores a missing value otherwise than {library}; so an "
            "event without it is refused."
        )


def add(wishes: Wishes, progress: Progress = lambda _: None) -> Added:
    """Writes the folder of a model that answers as its library does.

    Everything is made and compared in a temporary folder beside it, which then is moved whole.

    Args:
        wishes: what is to be added.
        progress: is called with a few words before each stage.

    Raises:
        ExportError: one sentence: what is wrong with the file or the events, or which rows differ and why.
        ManifestError: what was found makes no manifest.
    """
    name = wishes.name or re.sub(r"[^A-Za-z0-9_-]+", "-", wishes.path.stem).strip("-_")
    folder = _folder(wishes, name)
    progress(f"read {wishes.path.name}")
    candidate = choosing.read(wishes.path, replace(wishes.choices, tell=progress))
    progress(f"read {wishes.events.name}")
    given = _given(candidate.columns, wishes)
    events = read_events(wishes.events, candidate.columns, given)
    proposal = propose(candidate.columns, events, given)
    notes = [*candidate.notes, *proposal.notes]
    wishes.models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wishes.models, prefix=".add-") as temporary:
        made = Path(temporary) / name
        made.mkdir()
        inputs: Sequence[Input] = proposal.inputs
        while True:
            document = _first(made, name, candidate, inputs, wishes)
            write_manifest(made, document)
            progress("load with onnxruntime")
            model = _loaded(made)
            progress(f"compare with {candidate.library}" if candidate.predict else "score the events")
            try:
                compared = _compare(candidate, inputs, events, model, wishes)
                break
            except _NeverMissingError as error:
                inputs = refusing(inputs, error.names)
                notes.append(str(error))
        notes += _notes(compared, candidate, wishes)
        document["parity"] = _parity(compared)
        write_golden(made, golden_of(compared.comparison, model), document)
        real = [each.payload for each in compared.comparison.probes if each.real]
        if note := refuse_logits(model.manifest, model.score(real[:_LOOKED_AT])):
            notes.append(note)
        sample = _scored(evenly(real, 4 * _SAMPLE_ROWS)[0], model)[:_SAMPLE_ROWS]
        manifest = write_manifest(made, document)
        progress("measure what it costs")
        model = _loaded(made)
        write_sample(made, sample)
        cost = cost_of(made, model, real)
        (made / METRICS_FILE).write_text(json.dumps({"cost": cost.document()}, indent=2) + "\n", "utf-8")
        if cost.microseconds[1] > wishes.slow:
            notes.append(
                f"One event alone takes {cost.microseconds[1]:,.0f} µs, more than the {wishes.slow:,.0f} of "
                "--slow: fewer trees or neurons make it faster."
            )
        if wishes.stream is not None:
            stream, warnings = propose_stream(name, events, wishes.stream)
            notes += warnings
            (made / STREAM_FILE).write_text(json.dumps(stream, indent=2) + "\n", "utf-8")
        progress("write")
        _move(made, folder)
    return Added(folder, manifest, cost, notes)


def read_events(path: Path, columns: Sequence[Column], given: Mapping[str, str]) -> list[Payload]:
    """The events of a table, with the types that the model's columns have where they are of a CSV file.

    Raises:
        ExportError: the table cannot be read, or a line of it is no JSON object.
    """
    types = {
        pointer_of(given.get(each.name, each.name)): each.type or type_of(each.categories or ())
        for each in columns
        if each.type is not None or each.categories
    }
    found: list[Payload] = []
    for number, row in enumerate(read_rows(path, types), start=1):
        if not isinstance(row, dict):
            raise ExportError(f"{path}, row {number} is no JSON object: an event is one.")
        found.append(row)
    return found


def checked_name(name: str) -> str:
    """The name, which is also that of a folder and of a field in documents.

    Raises:
        ExportError: it cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise ExportError(
            f"'{name}' cannot be a model's name: use letters, digits, - and _ (at most 100), with --name."
        )
    return name


def _folder(wishes: Wishes, name: str) -> Path:
    folder = wishes.models / checked_name(name)
    if folder.exists() and not wishes.replace:
        raise ExportError(
            f"There is a model named {name} already, in {folder}: choose another --name, or add --replace."
        )
    return folder


def _given(columns: Sequence[Column], wishes: Wishes) -> dict[str, str]:
    if not wishes.columns:
        return dict(wishes.inputs)
    if len(wishes.columns) != len(columns):
        raise ExportError(
            f"--columns names {len(wishes.columns)} fields, and the model takes {len(columns)} columns: name "
            "one for each, in the order of training."
        )
    named = {each.name: field for each, field in zip(columns, wishes.columns, strict=True)}
    return named | dict(wishes.inputs)


def _first(
    made: Path, name: str, candidate: Candidate, inputs: Sequence[Input], wishes: Wishes
) -> dict[str, Any]:
    (made / MODEL_FILE).write_bytes(candidate.content)
    if candidate.features is not None:
        (made / FEATURES_FILE).write_text(candidate.features, encoding="utf-8")
    document = document_of(
        name,
        wishes.version,
        description=wishes.description,
        kind=candidate.kind,
        content=candidate.content,
        inputs=inputs,
        outputs=candidate.outputs,
        tensors=candidate.tensors,
        features=describe_features(made, candidate.feature_columns),
        tools=candidate.tools,
    )
    return document | {"schema": 2}  # which says with what it was compared


def _loaded(made: Path) -> Model:
    try:
        return load_model(made)
    except (Failure, ManifestError) as error:
        cause = error.__cause__
        chained = f" ({type(cause).__name__}: {str(cause).splitlines()[0]})" if cause else ""
        text = str(error).replace(f"{made}/", "").rstrip(".")
        raise ExportError(f"The model does not load: {text}{chained}. Nothing was written.") from error


def _compare(
    candidate: Candidate, inputs: Sequence[Input], events: Sequence[Payload], model: Model, wishes: Wishes
) -> _Compared:
    real = [Probe(f"event {number}", each) for number, each in enumerate(events, start=1)]
    if wishes.expected is not None:
        given = answers_of(read_rows(wishes.expected), len(events), candidate.kind, model.manifest.outputs)
        found = measure(real, inputs, given, model, candidate.tolerance, library="the file of predictions")
        what = "predictions"
    elif candidate.predict is not None:
        rows = probes(events, inputs)
        found = measure(
            rows, inputs, candidate.predict, model, candidate.tolerance, library=candidate.library
        )
        what = "library"
    else:
        chosen = evenly(real)[0]
        own = [_own(each, candidate) for each in model.score([each.payload for each in chosen])]
        found = measure(chosen, inputs, own, model, candidate.tolerance, library="the file itself")
        what = "nothing"
    _refuse_unscored(found, real, model)
    agreed = _rounded(found, candidate, model) if what == "library" else set()
    left = [each for each in found.differences if each.row not in agreed]
    if left and (names := to_refuse(left, inputs, events)):
        raise _NeverMissingError(names, _against(what, candidate))
    if left:
        raise ExportError(refusal(found, left, inputs, model, _against(what, candidate)))
    share = _share(found, agreed)
    if share > wishes.accept_share:
        raise ExportError(
            f"{share:.1%} of the rows ({len(agreed):,} in all) lie so near to a split that ONNX, which "
            f"reads 32-bit floats, goes the other way than {candidate.library}; at most "
            f"{wishes.accept_share:.1%} are accepted (--accept-share): bring columns of a wide range near "
            "zero in features.py, or train on float32. Nothing was written."
        )
    if what != "nothing" and found.ties > max(1, MAX_TIES * found.rows):
        raise ExportError(
            f"The numbers agree, but on {found.ties:,} of {found.rows:,} rows the labels do not, since two "
            "classes are equally probable there: more trees, or another classifier, tie seldom. Nothing was "
            "written."
        )
    return _Compared(found, what, share)


def _share(found: Comparison, agreed: set[int]) -> float:
    """Of all rows or of the events as they came, whichever is larger: made-up rows are not to hide them."""
    real = {row for row, each in enumerate(found.probes) if each.real}
    return max(len(agreed) / max(1, len(found.probes)), len(agreed & real) / max(1, len(real)))


def _against(what: str, candidate: Candidate) -> str:
    return "the file of predictions" if what == "predictions" else candidate.library


def _own(scores: Scores | Failure, candidate: Candidate) -> Answer:
    if isinstance(scores, Failure):
        width = len(candidate.outputs.get("classes", ())) or len(candidate.outputs.get("columns", ())) or 1
        return Answer((float("nan"),) * width, None)
    return Answer(tuple(scores.values.values()) or (scores.value,), scores.label)


def _refuse_unscored(found: Comparison, real: Sequence[Probe], model: Model) -> None:
    payloads = [each.payload for each in evenly(real, 200)[0]]
    failed = [each for each in model.score(payloads) if isinstance(each, Failure)]
    if len(failed) == len(payloads):
        first = failed[0]
        why = (first.detail or first.reason).rstrip(".")
        raise ExportError(f"Not one event can be scored ({why}). Nothing was written.")
    if not any(each.real for each in found.probes):
        raise ExportError("Not one event has all that the model needs. Nothing was written.")


def _rounded(found: Comparison, candidate: Candidate, model: Model) -> set[int]:
    """The rows whose score is what the library says of the inputs rounded to 32 bits."""
    if candidate.predict is None:
        return set()
    asked: dict[int, Answer] = {}
    for each in found.differences:
        if isinstance(each.wanted, Answer) and isinstance(each.found, Scores):
            asked[each.row] = Answer(
                tuple(each.found.values.values()) or (each.found.value,), each.found.label
            )
    if not asked:
        return set()
    frame = found.frame.iloc[list(asked)].reset_index(drop=True)
    kind = model.manifest.kind
    agree = agree_when_rounded(candidate.predict, frame, list(asked.values()), kind, found.tolerance)
    return {row for row, same in zip(asked, agree, strict=True) if same}


def _parity(compared: _Compared) -> dict[str, Any]:
    found = compared.comparison
    if compared.what == "nothing":
        return parity_of(0, found.tolerance, 0.0) | {"compared": "nothing"}
    said = parity_of(found.rows, found.tolerance, found.largest) | {"compared": compared.what}
    if compared.rounded:
        said["roundedShare"] = float(f"{compared.rounded:.3g}")
    return said


def _notes(compared: _Compared, candidate: Candidate, wishes: Wishes) -> list[str]:
    if compared.what == "nothing":
        why = (
            f"Nothing was compared: {candidate.library}'s own predictions are not at hand, so that nobody "
            "knows whether the scores are right. Give a file of them (--expected)."
        )
        return [why]
    if compared.rounded:
        near = (
            f"{compared.rounded:.2%} of the rows lie so near to a split that they agree only with what "
            f"{candidate.library} says of 32-bit floats (accepted: {wishes.accept_share:.1%})."
        )
        return [near]
    return []


def _scored(payloads: Sequence[Payload], model: Model) -> list[Payload]:
    scored = model.score(payloads)
    return [each for each, got in zip(payloads, scored, strict=True) if not isinstance(got, Failure)]


def _move(made: Path, folder: Path) -> None:
    """Moves the folder to its place; what a replaced one held beside our files comes along."""
    if not folder.exists():
        made.replace(folder)
        return
    for each in folder.iterdir():
        if each.name not in _OURS:
            copy = shutil.copytree if each.is_dir() else shutil.copy2
            copy(each, made / each.name)
    old = made.parent / "replaced"
    folder.replace(old)
    try:
        made.replace(folder)
    except OSError:
        old.replace(folder)
        raise
