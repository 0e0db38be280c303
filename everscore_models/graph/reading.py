"""An ONNX file read from disk, with the weights that stand beside it."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import ModelProto

from everscore_models.errors import ExportError
from everscore_models.graph.weights import take_in


def read_graph(path: Path) -> tuple[ModelProto, list[str]]:
    """The model of a file, and a sentence for each thing that was done to it.

    Raises:
        ExportError: it is no whole ONNX file, or its weights in other files cannot be taken in.
    """
    model = ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}).") from error
    except DecodeError as error:
        raise ExportError(f"{path} is no ONNX file, or not a whole one: copy or export it again.") from error
    if not model.graph.node or not model.graph.output:
        raise ExportError(f"{path} holds no graph with outputs: it is no ONNX file, or not a whole one.")
    taken = take_in(model, path.parent)
    if not taken:
        return model, []
    return model, [
        f"The weights in a second file ({taken:,} bytes) were taken into model.onnx: one file is deployed."
    ]
