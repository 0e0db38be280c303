"""Conversion: scikit-learn to ONNX bytes, always the same for the same pipeline."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from everscore.score.output_form import Kind
from everscore_models import discriminant, histogram_boosting, imputers, registered, thresholds, tree_missing
from everscore_models.errors import ExportError
from everscore_models.graph.locale import ascii_faults, locale_faults
from everscore_models.merging import merged
from everscore_models.steps import blame, last_step
from everscore_models.target import TARGET_IR, TARGET_OPSET
from everscore_models.texts import prepare_texts
from everscore_models.traps import refuse_traps

MATRIX_INPUT = "X"


@dataclass(frozen=True, slots=True)
class Converted:
    """An ONNX file, and what its manifest says of its inputs and outputs.

    Attributes:
        content: of model.onnx.
        kind: what it predicts.
        tensors, outputs: of the manifest.
        features: the source of the features.py that goes with it; None: it needs none.
    """

    content: bytes
    kind: Kind
    tensors: dict[str, list[str]]
    outputs: dict[str, Any]
    features: str | None = None


def kind_of(pipeline: Any) -> Kind:
    """What a fitted estimator predicts, or several of them by name.

    Raises:
        ExportError: it is none of the five kinds.
    """
    if isinstance(pipeline, Mapping):
        return _kind_of_several(pipeline)
    name = type(last_step(pipeline)).__name__
    if is_outlier_detector(pipeline):
        return Kind.ANOMALY
    if is_clusterer(pipeline) and hasattr(pipeline, "transform") and hasattr(pipeline, "predict"):
        return Kind.CLUSTERER
    if is_regressor(pipeline):
        return Kind.REGRESSOR
    if is_classifier(pipeline):
        if not hasattr(pipeline, "predict_proba"):
            raise ExportError(
                f"The last step ({name}) gives no probabilities: wrap it in CalibratedClassifierCV, or use a "
                "classifier that has predict_proba."
            )
        if not isinstance(pipeline.classes_, np.ndarray):
            raise ExportError(
                f"The last step ({name}) predicts several outputs at once: export one model for each."
            )
        return Kind.CLASSIFIER if len(pipeline.classes_) == 2 else Kind.MULTICLASS
    raise ExportError(
        f"The last step ({name}) is neither a classifier, a regressor, an anomaly detector nor a clusterer "
        "that "
        "predicts: only a whole pipeline with its model can be exported."
    )


def _kind_of_several(pipelines: Mapping[str, Any]) -> Kind:
    for name, each in pipelines.items():
        if not is_regressor(each) or not isinstance(name, str):
            raise ExportError(
                f"Of several models together each must be a regressor with a name, such as that of a "
                "quantile; "
                f"{name!r} ({type(each).__name__}) is not."
            )
    if not pipelines:
        raise ExportError("There is no model: the dictionary is empty.")
    return Kind.REGRESSOR


def convert(
    pipeline: Any,
    texts: Sequence[str],
    columns: Sequence[str],
    labels: Sequence[str],
    positive: str | None,
    *,
    own_features: bool = False,
) -> Converted:
    """Converts a fitted pipeline.

    Args:
        pipeline: the fitted estimator; or several regressors by name, which become one model.
        texts: those of the columns that hold texts.
        columns: all columns, in the order of training.
        labels: what documents call the classes, or the numbers of a regressor that has several; empty: their
            own text.
        positive: the label of the positive class, if there is one.
        own_features: whether the columns come from a features.py of the user's.

    Raises:
        ExportError: it cannot be converted; the sentence names the step and the choices.
    """
    histogram_boosting.register()
    imputers.register()
    thresholds.register()
    discriminant.register()
    tree_missing.register()
    registered.register()
    kind = kind_of(pipeline)
    refuse_traps(pipeline)
    prepared = prepare_texts(pipeline, columns, own_features)
    if isinstance(prepared.pipeline, Mapping):
        parts = {
            name: _converted(each, texts, columns, kind, prepared.options)
            for name, each in prepared.pipeline.items()
        }
        _, taken = _inputs(next(iter(prepared.pipeline.values())), set(texts), columns)
        model = merged(parts)
        widths = [_width(each) for each in parts.values()]
        names = _several_names(list(labels) or [*parts], sum(widths))
        outputs: dict[str, Any] = {"value": [each.name for each in model.graph.output], "columns": names}
    else:
        model = _converted(prepared.pipeline, texts, columns, kind, prepared.options)
        _, taken = _inputs(prepared.pipeline, set(texts), columns)
        outputs = _outputs(kind, pipeline, model, labels, positive)
    model.ir_version = TARGET_IR
    # The converter keeps them in a set, so that their order, and the file's hash, would differ between runs.
    opsets = sorted(model.opset_import, key=lambda each: each.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    for fault in [*locale_faults(model), *ascii_faults(model)]:
        raise ExportError(fault)
    # The converter's names, in the order in which it was given the columns: 'a.b' has become 'a_b'.
    made = [each.name for each in model.graph.input]
    if len(made) != len(taken):
        raise ExportError(
            f"The converter made the inputs {made} of the columns {taken}: leave unused ones out."
        )
    return Converted(
        content=model.SerializeToString(deterministic=True),
        kind=kind,
        tensors={name: names for name, names in zip(made, taken, strict=True) if names != [name]},
        outputs=outputs,
        features=prepared.features,
    )


def _converted(
    pipeline: Any,
    texts: Sequence[str],
    columns: Sequence[str],
    kind: Kind,
    options: Mapping[int, Mapping[str, Any]],
) -> ModelProto:
    initial, _ = _inputs(pipeline, set(texts), columns)
    if kind in (Kind.CLASSIFIER, Kind.MULTICLASS):
        options = {**options, id(pipeline): {"zipmap": False}}
    try:
        model: ModelProto = convert_sklearn(
            pipeline,
            "everscore",
            initial_types=initial,
            options=dict(options) or None,
            target_opset=TARGET_OPSET,
        )
    except Exception as error:
        raise ExportError(blame(pipeline, error)) from error
    return model


def _width(model: ModelProto) -> int:
    """How many numbers a regressor predicts."""
    dimensions = model.graph.output[0].type.tensor_type.shape.dim
    return max(1, dimensions[1].dim_value) if len(dimensions) == 2 else 1


def _several_names(names: Sequence[str], count: int) -> list[str]:
    if len(names) != count:
        raise ExportError(
            f"The model predicts {count} numbers, and there are {len(names)} names for them "
            f"({', '.join(names)}): give one each as labels, in their order."
        )
    return list(names)


def _inputs(
    pipeline: Any, texts: set[str], columns: Sequence[str]
) -> tuple[list[tuple[str, Any]], list[list[str]]]:
    """The ONNX inputs as the converter wants them, and the columns that each takes."""
    first = pipeline
    while isinstance(first, Pipeline):
        first = first.steps[0][1]
    if isinstance(first, ColumnTransformer):
        return _named_inputs(first, texts, columns)
    # Without names the columns are one matrix, which has one type.
    if texts and texts != set(columns):
        raise ExportError(
            "The pipeline takes texts and numbers, but does not begin with a ColumnTransformer that says "
            "which columns go where: put one first."
        )
    numbers = DoubleTensorType if registered.reads_64_bits(pipeline) else FloatTensorType
    tensor = StringTensorType if texts else numbers
    return [(MATRIX_INPUT, tensor([None, len(columns)]))], [list(columns)]


def _named_inputs(
    first: ColumnTransformer, texts: set[str], columns: Sequence[str]
) -> tuple[list[tuple[str, Any]], list[list[str]]]:
    used = _used_columns(first, columns)
    names: dict[str, str] = {}
    initial: list[tuple[str, Any]] = []
    for column in columns:
        if column not in used:
            raise ExportError(f"The pipeline does not use the input '{column}': leave it out of the inputs.")
        # What the converter does silently; it would give the second of two equal names a number.
        name = re.sub(r"[^\w+]", "_", column)
        if name in names:
            raise ExportError(
                f"The columns '{names[name]}' and '{column}' would both become the ONNX input '{name}': "
                "rename one of them."
            )
        names[name] = column
        initial.append((column, (StringTensorType if column in texts else FloatTensorType)([None, 1])))
    return initial, [[column] for column in columns]


def _used_columns(transformer: ColumnTransformer, columns: Sequence[str]) -> set[str]:
    used: set[str] = set()
    for name, step, taken in transformer.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        taken_list = [taken] if isinstance(taken, str) else list(taken)
        if not all(isinstance(each, str) for each in taken_list):
            raise ExportError(
                f"The ColumnTransformer takes the columns of '{name}' by position: fit it on a data frame."
            )
        used.update(taken_list)
    return used & set(columns)


def _outputs(
    kind: Kind, pipeline: Any, model: ModelProto, labels: Sequence[str], positive: str | None
) -> dict[str, Any]:
    names = [each.name for each in model.graph.output]
    if kind is Kind.REGRESSOR:
        width = _width(model)
        if width == 1:
            return {"value": names[0]}
        return {
            "value": names[0],
            "columns": _several_names(labels or [f"output_{number}" for number in range(width)], width),
        }
    outputs: dict[str, Any] = {"value": names[1], "label": names[0]}
    if kind is Kind.ANOMALY:
        outputs["classes"] = [-1, 1]
        outputs["labels"] = list(labels) or ["anomaly", "normal"]
        return outputs
    if kind is Kind.CLUSTERER:
        found = list(range(len(last_step(pipeline).cluster_centers_)))
    else:
        found = pipeline.classes_.tolist()
    # ONNX knows no boolean classes: the converter makes them 0 and 1.
    outputs["classes"] = [int(each) if isinstance(each, bool | float) else each for each in found]
    outputs["labels"] = list(labels) or [str(each) for each in found]
    if positive is not None:
        outputs["positive"] = positive
    return outputs
