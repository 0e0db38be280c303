"""Golden rows: a few events with the scores that the training library gave, compared at each loading.

A hash shows that a model's files are those of the export, not that this machine's onnxruntime computes from
them what the training library did. Releases of it have answered with wrong labels without an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import onnxruntime

from everscore.event.scores import Scores
from everscore.failures import Configuration, Failure, ManifestError, Stage
from everscore.score.manifest import Golden
from everscore.score.model import Model
from everscore.score.output_form import Kind

GOLDEN_FILE = "golden.jsonl"
GOLDEN_ROWS = 20
"""How many rows an export writes: loading them costs a few milliseconds of each cold start."""


class GoldenRow(msgspec.Struct, frozen=True):
    """One line of golden.jsonl.

    Attributes:
        event: the payload.
        label, value, values: what the training library says of it, as `Scores` has them.
    """

    event: object
    label: str | None
    value: float
    values: dict[str, float] = {}


_lines = msgspec.json.Decoder(GoldenRow)


def read_golden(folder: Path, golden: Golden, where: str) -> list[GoldenRow]:
    """The rows of a model's golden.jsonl.

    Args:
        folder: the model's.
        golden: what the manifest says of the file.
        where: begins the sentence of a mistake.

    Raises:
        ManifestError: the file is missing, another than the manifest says, or unreadable.
    """
    path = folder / GOLDEN_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{where}: {path} cannot be read ({error.strerror}): deploy all files of one export."
        ) from error
    found = hashlib.sha256(raw).hexdigest()
    if found != golden.sha256:
        raise ManifestError(
            f"{where}: {GOLDEN_FILE} has the SHA-256 {found}, the manifest says {golden.sha256}: deploy all "
            "files of one export."
        )
    try:
        return _lines.decode_lines(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{where}: {path} is not readable: {error}.") from error


def check_golden(model: Model, rows: Sequence[GoldenRow]) -> None:
    """Score the rows with a loaded model: numbers within the manifest's tolerance, labels exactly.

    Raises:
        Configuration: they differ, so nothing is to be scored with this model on this machine.
    """
    kind, tolerance = model.manifest.kind, model.manifest.tolerance()
    results = model.score([row.event for row in rows])
    found = [_difference(row, result, kind, tolerance) for row, result in zip(rows, results, strict=True)]
    wrong = [(number, what) for number, what in enumerate(found, start=1) if what]
    if wrong:
        number, what = wrong[0]
        raise Configuration(
            Stage.SCORE,
            "golden rows differ",
            f"{len(wrong)} of {len(rows)} golden rows of the model {model.name} {model.version} have other "
            f"scores on onnxruntime {onnxruntime.__version__} than in training (line {number} of "
            f"{GOLDEN_FILE}: {what}): nothing is scored with it. Deploy the release of onnxruntime that the "
            "model was exported with, or export it again.",
        )


def _difference(wanted: GoldenRow, found: Scores | Failure, kind: Kind, tolerance: float) -> str | None:
    if isinstance(found, Failure):
        return f"it cannot be scored, {found.reason}"
    if wanted.label != found.label:
        return f"label {found.label!r} for {wanted.label!r}"
    if wanted.values.keys() != found.values.keys():
        return f"classes {', '.join(found.values)} for {', '.join(wanted.values)}"
    mine = (found.value, *(found.values[name] for name in wanted.values))
    if not scaled_difference((wanted.value, *wanted.values.values()), mine, kind) <= tolerance:
        return f"{found.value:.9g} for {wanted.value:.9g}"
    return None


def scaled_difference(wanted: Sequence[float], found: Sequence[float], kind: Kind) -> float:
    """The largest difference of two answers: absolute; of predictions and distances above 1 relative."""
    relative = kind in (Kind.REGRESSOR, Kind.CLUSTERER)
    return max(
        abs(a - b) / (max(1.0, abs(a)) if relative else 1.0) for a, b in zip(wanted, found, strict=True)
    )
