"""From a fitted pipeline, or a file of any library, to a checked ONNX file and its manifest. Not deployed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everscore.score.input_form import Default, Input, InputType
    from everscore_models.errors import ExportError
    from everscore_models.payloads import apply_features, read_frame
    from everscore_models.trained import Trained

__all__ = ["Default", "ExportError", "Input", "InputType", "Trained", "apply_features", "read_frame"]

_HOMES = {
    "Default": "everscore.score.input_form",
    "ExportError": "everscore_models.errors",
    "Input": "everscore.score.input_form",
    "InputType": "everscore.score.input_form",
    "Trained": "everscore_models.trained",
    "apply_features": "everscore_models.payloads",
    "read_frame": "everscore_models.payloads",
}


# On first use, so that the command can say what is missing where the tools for models are not installed.
def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
