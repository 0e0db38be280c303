"""Conversion: scikit-learn to ONNX bytes, always the same for the same pipeline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import is_classifier, is_outlier_detector, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from everscore.score.output_form import Kind
from everscore_models.errors import ExportError
from everscore_models.steps import blame
from everscore_models.target import TARGET_IR, TARGET_OPSET

MATRIX_INPUT = "X"


@dataclass(frozen=True, slots=True)
class Converted:
    """An ONNX file, and what its manifest says of its inputs and outputs."""

    content: bytes
    kind: Kind
    tensors: dict[str, list[str]]
    outputs: dict[str, Any]


def kind_of(pipeline: Any) -> Kind:
    """What a fitted estimator predicts.

    Raises:
        ExportError: it is none of the four kinds.
    """
    last = pipeline.steps[-1][1] if isinstance(pipeline, Pipeline) else pipeline
    name = type(last).__name__
    if is_outlier_detector(pipeline):
        return Kind.ANOMALY
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
        f"The last step ({name}) is neither a classifier, a regressor nor an anomaly detector: "
        "only a whole pipeline with its model can be exported."
    )


def convert(
    pipeline: Any, texts: Sequence[str], columns: Sequence[str], labels: Sequence[str], positive: str | None
) -> Converted:
    """Converts a fitted pipeline.

    Args:
        pipeline: the fitted estimator.
        texts: those of the columns that hold texts.
        columns: all columns, in the order of training.
        labels: what documents call the classes; empty: their own text.
        positive: the label of the positive class, if there is one.

    Raises:
        ExportError: it cannot be converted; the sentence names the step and the choices.
    """
    kind = kind_of(pipeline)
    initial, taken = _inputs(pipeline, set(texts), columns)
    options = {id(pipeline): {"zipmap": False}} if kind in (Kind.CLASSIFIER, Kind.MULTICLASS) else None
    try:
        model: ModelProto = convert_sklearn(
            pipeline, "everscore", initial_types=initial, options=options, target_opset=TARGET_OPSET
        )
    except Exception as error:
        raise ExportError(blame(pipeline, error)) from error
    if kind is Kind.REGRESSOR:
        _refuse_several_numbers(pipeline, model)
    model.ir_version = TARGET_IR
    # The converter keeps them in a set, so that their order, and the file's hash, would differ between runs.
    opsets = sorted(model.opset_import, key=lambda each: each.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
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
        outputs=_outputs(kind, pipeline, [each.name for each in model.graph.output], labels, positive),
    )


def _refuse_several_numbers(pipeline: Any, model: ModelProto) -> None:
    dimensions = model.graph.output[0].type.tensor_type.shape.dim
    if len(dimensions) == 2 and dimensions[1].dim_value > 1:
        last = pipeline.steps[-1][1] if isinstance(pipeline, Pipeline) else pipeline
        raise ExportError(
            f"The last step ({type(last).__name__}) predicts {dimensions[1].dim_value} numbers at once: "
            "export one model for each."
        )


def _inputs(
    pipeline: Any, texts: set[str], columns: Sequence[str]
) -> tuple[list[tuple[str, Any]], list[list[str]]]:
    """The ONNX inputs as the converter wants them, and the columns that each takes."""
    first = pipeline.steps[0][1] if isinstance(pipeline, Pipeline) else pipeline
    if not isinstance(first, ColumnTransformer):
        # Without names the columns are one matrix, which has one type.
        if texts and texts != set(columns):
            raise ExportError(
                "The pipeline takes texts and numbers, but does not begin with a ColumnTransformer that says "
                "which columns go where: put one first."
            )
        tensor = StringTensorType if texts else FloatTensorType
        return [(MATRIX_INPUT, tensor([None, len(columns)]))], [list(columns)]
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
    kind: Kind, pipeline: Any, names: Sequence[str], labels: Sequence[str], positive: str | None
) -> dict[str, Any]:
    if kind is Kind.REGRESSOR:
        return {"value": names[0]}
    outputs: dict[str, Any] = {"value": names[1], "label": names[0]}
    if kind is Kind.ANOMALY:
        outputs["classes"] = [-1, 1]
        outputs["labels"] = list(labels) or ["anomaly", "normal"]
        return outputs
    found = pipeline.classes_.tolist()
    # ONNX knows no boolean classes: the converter makes them 0 and 1.
    outputs["classes"] = [int(each) if isinstance(each, bool | float) else each for each in found]
    outputs["labels"] = list(labels) or [str(each) for each in found]
    if positive is not None:
        outputs["positive"] = positive
    return outputs
