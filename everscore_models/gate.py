"""What stands before a model that is trained here: it is written only if ONNX answers as the library does."""

from __future__ import annotations

from collections.abc import Sequence

from everscore.score.input_form import Input
from everscore.score.model import Model
from everscore_models.candidate import Predict
from everscore_models.diagnosis import refusal
from everscore_models.errors import ExportError
from everscore_models.parity import MAX_TIES, Comparison, measure
from everscore_models.probes import Probe


def compare(
    rows: Sequence[Probe],
    inputs: Sequence[Input],
    predict: Predict,
    model: Model,
    tolerance: float,
    *,
    library: str = "scikit-learn",
) -> Comparison:
    """As `everscore_models.parity.measure`, but a difference is a refusal.

    Raises:
        ExportError: they differ by more than the tolerance, in a label, or in what they refuse.
    """
    found = measure(rows, inputs, predict, model, tolerance, library=library)
    if found.differences:
        raise ExportError(refusal(found, found.differences, inputs, model, library))
    if found.ties > max(1, MAX_TIES * found.rows):
        raise ExportError(
            f"ONNX and {library} give the same numbers, but on {found.ties} of {found.rows} rows other "
            "labels, since two classes are equally probable there: no file was written. Use a classifier "
            'whose probabilities tie seldom, such as SGDClassifier(loss="log_loss") instead of '
            '"modified_huber", or more trees.'
        )
    if not any(each.real for each in found.probes):
        raise ExportError("Not one held-out payload can be scored: compare the inputs with the payloads.")
    return found
