"""A model whose weights stand in a second file: taken into one file, as the app loads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onnx import GraphProto, ModelProto, TensorProto
from onnx.external_data_helper import (
    ExternalDataInfo,
    convert_model_from_external_data,
    load_external_data_for_model,
)

from everscore_models.errors import ExportError
from everscore_models.graph.cutting import bodies

LARGEST = 2**31 - 1
"""Bytes of one ONNX file at most: protobuf writes and reads no more."""

_WAY_OUT = "export it with fewer or smaller weights, for example in float16, quantized, or with fewer layers"


def take_in(model: ModelProto, folder: Path) -> int:
    """Reads the weights of a model that stand in other files into the model itself.

    Args:
        model: as read without them; it is changed.
        folder: of the model's file, where the others stand too.

    Returns:
        How many bytes were taken in; 0: all stood in the one file.

    Raises:
        ExportError: a file is missing or too short, or all are too large for one file.
    """
    outside = [each for each in _tensors(model.graph) if each.data_location == TensorProto.EXTERNAL]
    outside += [
        each
        for function in model.functions
        for node in function.node
        for graph in bodies(node)
        for each in _tensors(graph)
        if each.data_location == TensorProto.EXTERNAL
    ]
    if not outside:
        return 0
    total = sum(_size_of(each, folder) for each in outside)
    if total + model.ByteSize() > LARGEST:
        raise ExportError(
            f"The weights beside the file are {total:,} bytes, and one ONNX file, as the app loads it, holds "
            f"at most {LARGEST:,}: {_WAY_OUT}."
        )
    try:
        load_external_data_for_model(model, str(folder))
    except Exception as error:
        raise ExportError(f"The weights beside the file cannot be read ({error}).") from error
    convert_model_from_external_data(model)
    return total


def serialized(model: ModelProto) -> bytes:
    """The model as the bytes of one file, always the same for the same model.

    Raises:
        ExportError: it is too large for one.
    """
    if model.ByteSize() > LARGEST:
        raise ExportError(f"The model is larger than the {LARGEST:,} bytes of one ONNX file: {_WAY_OUT}.")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _size_of(tensor: TensorProto, folder: Path) -> int:
    """The bytes of a tensor in its own file, which must be there whole."""
    found = ExternalDataInfo(tensor)
    path = folder / found.location
    if Path(found.location).is_absolute() or ".." in Path(found.location).parts:
        raise ExportError(
            f"The model has its weights in {found.location}, outside its own folder: export it with the file "
            "of weights beside it."
        )
    try:
        there = path.stat().st_size
    except OSError as error:
        raise ExportError(
            f"The model has its weights in a second file, {found.location}, which is not beside it "
            f"({error.strerror}): copy both files into one folder, or export into one file."
        ) from error
    start = found.offset or 0
    length = there - start if found.length is None else found.length
    if length < 0 or start + length > there:
        raise ExportError(
            f"The file of weights {found.location} has {there:,} bytes, and the model needs "
            f"{start + max(length, 0):,}: it was not copied whole; copy it again."
        )
    return length


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
        for inner in bodies(node):
            yield from _tensors(inner)
