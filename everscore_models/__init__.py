"""From a fitted scikit-learn pipeline to a checked ONNX file and its manifest. Not deployed."""

from everscore.manifest import Default, Input, InputType
from everscore_models.errors import ExportError
from everscore_models.payloads import apply_features, read_frame
from everscore_models.trained import Trained

__all__ = ["Default", "ExportError", "Input", "InputType", "Trained", "apply_features", "read_frame"]
