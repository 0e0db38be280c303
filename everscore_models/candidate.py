"""What is known of a model once its file was read: the ONNX graph, and how its library answers itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from everscore.score.input_form import InputType
from everscore.score.output_form import Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What a library says of one row.

    Attributes:
        values: the numbers by class, cluster or prediction, in the order of the manifest's classes or
            columns; of an anomaly detector or a regressor of one number just that one.
        label: the class or cluster by its label; None for a regressor.
    """

    values: tuple[float, ...]
    label: str | None


type Predict = Callable[[pd.DataFrame], Sequence[Answer]]
"""The library's own answers for rows of the model's columns, as `everscore_models.payloads.read_frame`
makes them. It may raise whatever the library raises; the caller halves the rows until the guilty one stands
alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column that the model takes, as far as its file says.

    Attributes:
        name: as the library calls it.
        type: what the payload must hold for it; None where the file does not say, so that the events decide.
        categories: the values in the order of their codes, where the model takes codes.
        unseen: what the library does with a value that is none of them: ``"nan"`` treats it as missing,
            ``"reject"`` raises.
        takes_nan: whether the library takes a missing value; None: unknown.
        shape: of a list of numbers, without the rows.
        fill: what the library puts in for a missing text, which the manifest must do instead.
    """

    name: str
    type: InputType | None = None
    categories: tuple[bool | int | float | str, ...] | None = None
    unseen: str = "reject"
    takes_nan: bool | None = None
    shape: tuple[int, ...] | None = None
    fill: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model out of a file, not yet compared with anything.

    Attributes:
        content: of ``model.onnx``.
        kind: what it predicts.
        columns: what it takes, in the order of training.
        outputs: the manifest's ``outputs``, as JSON.
        tensors: the manifest's ``tensors``.
        library: whose model it is, such as ``LightGBM``, for sentences.
        predict: the library's own answers; None where it is not installed, or the file holds only the graph.
        tolerance: the largest difference that counts as equal.
        tools: versions of what trained and converted it, for the manifest.
        notes: sentences for the person who adds it, such as what the file calls its clusters.
        features: the source of a features.py that goes with it, where its columns need one.
        feature_columns: the columns that this features.py returns.
    """

    content: bytes
    kind: Kind
    columns: Sequence[Column]
    outputs: Mapping[str, Any]
    tensors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    library: str
    predict: Predict | None = None
    tolerance: float = 1e-5
    tools: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    features: str | None = None
    feature_columns: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What the person who adds a model says of it, where the file does not.

    Attributes:
        positive: the label whose probability is the value.
        labels: what documents call the classes, in their order.
        categories: by column, the values in the order of their codes.
        outputs: the ONNX outputs with the numbers, and perhaps the label.
        transform: ``softmax`` or ``sigmoid``, where the file gives logits.
        trust: whether code in the file may run, as loading a pickle does.
        tell: is called with a few words before something that takes long.
    """

    positive: str | None = None
    labels: Sequence[str] = ()
    categories: Mapping[str, Sequence[bool | int | float | str]] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    transform: str | None = None
    trust: bool = False
    tell: Callable[[str], None] = field(default=lambda _: None, compare=False)
