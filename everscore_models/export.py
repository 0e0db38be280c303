"""Export: convert, compare, and only then write ``model.onnx``, ``manifest.json`` and their companions."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from everscore.failures import Failure
from everscore.score.golden import GOLDEN_FILE
from everscore.score.input_form import InputType
from everscore.score.loading import load_model
from everscore.score.manifest import MANIFEST_FILE, MODEL_FILE, Features, Manifest
from everscore.score.model import Model
from everscore_models.answers import predict_with
from everscore_models.candidate import Answer
from everscore_models.convert import Converted, convert
from everscore_models.errors import ExportError
from everscore_models.gate import compare
from everscore_models.parity import Comparison, golden_rows
from everscore_models.payloads import FEATURES_FILE, apply_features, describe_features, read_readable
from everscore_models.probes import probes
from everscore_models.steps import CHOICES, best_of, first_line, slow_steps
from everscore_models.texts import HEADER
from everscore_models.trained import Trained
from everscore_models.writing import (
    EXPECTED_FILE,
    SAMPLE_FILE,
    document_of,
    parity_of,
    write_golden,
    write_manifest,
    write_sample,
)

_TOOLS = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")

type Progress = Callable[[str], None]


def export(trained: Trained, folder: Path, progress: Progress = lambda _: None) -> Manifest:
    """Writes a model into its folder, whose name is the model's name.

    Everything is made and compared in a temporary folder first; a mismatch leaves the model's folder as it
    was. Each file is then moved into place whole, the manifest last: its hash guards against a mixture.

    Args:
        trained: what ``train.py`` returned.
        folder: the model's folder; its ``features.py`` is used if `Trained.feature_columns` is set.
        progress: is called with a few words before each stage.

    Raises:
        ExportError: the pipeline cannot be converted, or ONNX disagrees with it.
        ManifestError: what ``train.py`` says of its inputs or labels is wrong.
    """
    describe_features(folder, trained.feature_columns)
    columns = list(trained.feature_columns) or [each.name for each in trained.inputs]
    pipeline = best_of(trained.pipeline)
    progress("; ".join(["convert to ONNX", *slow_steps(pipeline)]))
    converted = convert(
        pipeline,
        _texts(trained, folder),
        columns,
        trained.labels,
        trained.positive,
        own_features=bool(trained.feature_columns),
    )
    _refuse_to_overwrite(folder, converted)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as temporary:
        made = Path(temporary)
        (made / MODEL_FILE).write_bytes(converted.content)
        if trained.feature_columns:
            shutil.copyfile(folder / FEATURES_FILE, made / FEATURES_FILE)
        elif converted.features is not None:
            (made / FEATURES_FILE).write_text(converted.features, encoding="utf-8")
        features = describe_features(
            made, columns if trained.feature_columns or converted.features is not None else ()
        )
        manifest = write_manifest(made, _document(trained, folder, features, converted))
        progress("compare with scikit-learn")
        model = _loaded(made)
        answer = predict_with(pipeline, manifest.kind, manifest.outputs)

        def predict(frame: pd.DataFrame) -> Sequence[Answer]:
            return answer(apply_features(frame, made, trained.feature_columns))

        rows = probes(trained.held_out, trained.inputs)
        found = compare(rows, trained.inputs, predict, model, trained.tolerance)
        golden = golden_rows(
            trained.sample or trained.held_out, trained.inputs, predict, model, found.tolerance
        )
        document = _document(trained, folder, features, converted, found)
        write_golden(made, golden, document)
        manifest = write_manifest(made, document)
        progress("write")
        _write_companions(made, trained)
        kept = {MANIFEST_FILE, *([FEATURES_FILE] if trained.feature_columns else [])}
        names = sorted(each.name for each in made.iterdir() if each.name not in kept)
        for name in [*names, MANIFEST_FILE]:
            (made / name).replace(folder / name)
    return manifest


def _refuse_to_overwrite(folder: Path, converted: Converted) -> None:
    path = folder / FEATURES_FILE
    if converted.features is None or not path.exists():
        return
    if not path.read_text(encoding="utf-8", errors="replace").startswith(HEADER):
        raise ExportError(
            f"The model's texts need a features.py, which the export writes itself, and {path} is there "
            "already: "
            "name its columns in Trained.feature_columns, or remove it."
        )


def _texts(trained: Trained, folder: Path) -> list[str]:
    """The columns that hold texts when they reach the pipeline."""
    if not trained.feature_columns:
        return [each.name for each in trained.inputs if each.type is InputType.TEXT]
    frame, refused = read_readable(trained.held_out[:100], trained.inputs)
    frame = frame.drop(index=list(refused)).reset_index(drop=True)
    made = apply_features(frame, folder, trained.feature_columns)
    return [str(name) for name in made if not pd.api.types.is_numeric_dtype(made[name].dtype)]


def _document(
    trained: Trained,
    folder: Path,
    features: Features | None,
    converted: Converted,
    parity: Comparison | None = None,
) -> dict[str, Any]:
    document = document_of(
        folder.name,
        trained.version,
        description=trained.description,
        kind=converted.kind,
        content=converted.content,
        inputs=trained.inputs,
        outputs=converted.outputs,
        tensors=converted.tensors,
        features=features,
        tools={name: version(name) for name in _TOOLS},
        training={
            "data": trained.data,
            "rows": trained.rows,
            "testedOn": trained.tested_on,
            "metrics": dict(trained.metrics),
        },
    )
    if parity is not None:
        document["parity"] = parity_of(parity.rows, parity.tolerance, parity.largest)
    return document


def _loaded(folder: Path) -> Model:
    try:
        return load_model(folder)
    except Failure as failure:
        reason = first_line(failure.__cause__ or failure)
        raise ExportError(
            f"onnxruntime does not load what skl2onnx made of the pipeline ({reason}): {CHOICES}."
        ) from failure


def _write_companions(folder: Path, trained: Trained) -> None:
    for name, content in trained.files.items():
        if name in (MODEL_FILE, MANIFEST_FILE, FEATURES_FILE, SAMPLE_FILE, EXPECTED_FILE, GOLDEN_FILE):
            raise ExportError(f"The training hands over a file named {name}, which the export writes itself.")
        (folder / name).write_bytes(content)
    if trained.sample:
        write_sample(folder, trained.sample)
