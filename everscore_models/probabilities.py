"""Whether what a manifest calls probabilities can be some: nothing in an ONNX file says it."""

from __future__ import annotations

from collections.abc import Sequence

from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.score.manifest import Manifest
from everscore.score.output_form import Kind
from everscore_models.errors import ExportError

_ROUNDING = 1e-3
"""How far a half float may be beyond 0 or 1, and a sum of some from 1."""


def refuse_logits(manifest: Manifest, scores: Sequence[Scores | Failure]) -> str | None:
    """Looks whether the numbers of classes are probabilities, on events that were scored.

    Returns:
        A note where those of a row do not add up to 1, as where each class is judged by itself; else None.

    Raises:
        ExportError: one is below 0 or above 1, so that they are logits or margins.
    """
    if manifest.kind not in (Kind.CLASSIFIER, Kind.MULTICLASS):
        return None
    note: str | None = None
    for number, each in enumerate(scores, start=1):
        if isinstance(each, Failure):
            continue
        for label, value in each.values.items():
            if not -_ROUNDING <= value <= 1 + _ROUNDING:
                raise ExportError(
                    f"Event {number} gets {value:.6g} for '{label}', which is no probability: the output "
                    f"'{manifest.outputs.value_outputs()[0]}' holds logits. Say --transform softmax, or "
                    "sigmoid where it is one number for two classes. Nothing was written."
                )
        total = sum(each.values.values())
        if note is None and abs(total - 1) > _ROUNDING * len(each.values):
            note = (
                f"The probabilities of event {number} add up to {total:.6g}: they are no shares. Where the "
                "file holds logits, say --transform softmax."
            )
    return note
