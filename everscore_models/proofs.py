"""What `check` looks at beyond a model's files: rows alone, made-up rows, labels against probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.score.golden import read_golden, scaled_difference
from everscore.score.manifest import Manifest
from everscore.score.model import Model
from everscore.score.output_form import Kind
from everscore_models.check import check, read_lines
from everscore_models.cost import Cost, cost_of
from everscore_models.errors import ExportError
from everscore_models.probes import probes
from everscore_models.trained import Payload
from everscore_models.writing import SAMPLE_FILE

_TRIED = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A model that passed.

    Attributes:
        model: as production loads it.
        golden: rows of golden.jsonl that were compared.
        rows: of sample.jsonl.
        largest: the largest difference among these from the day of the export.
        classes: those that some row was given, of all that there are.
        cost: None where there are no events to measure it on.
        warnings: what is no mistake, and to be known.
    """

    model: Model
    golden: int
    rows: int
    largest: float
    classes: tuple[int, int]
    cost: Cost | None
    warnings: Sequence[str]


def prove(folder: Path) -> Proof:
    """Checks a model's folder.

    Raises:
        ManifestError, Failure: see `everscore_models.check.check`; loading compares the golden rows.
        ExportError: also where a row alone has another score than among others, or a label is not the one
            of the best class.
    """
    checked = check(folder)
    model, manifest = checked.model, checked.model.manifest
    if model.name != folder.name:
        raise ExportError(
            f"{folder}: the manifest calls the model {model.name}, and its folder is {folder.name}: give "
            "both the same name."
        )
    events = _events(folder, manifest)
    warnings = _about_comparison(manifest)
    if not events:
        warnings.append("There are no events in the folder: no row was scored.")
        return Proof(
            model=model,
            golden=0,
            rows=0,
            largest=0.0,
            classes=(0, len(manifest.outputs.classes)),
            cost=None,
            warnings=warnings,
        )
    _alone(model, events)
    made = [each.payload for each in probes(events, manifest.inputs)][:: max(1, len(events) // _TRIED)]
    scored = [each for each in model.score(made) if isinstance(each, Scores)]
    warnings += _contradictions(scored, manifest)
    seen = {each.label for each in scored if each.label is not None}
    unseen = [each for each in manifest.outputs.label_of().values() if each not in seen]
    if unseen and manifest.kind is not Kind.REGRESSOR:
        warnings.append(f"No event, real or made up, was given the class {', '.join(unseen)}.")
    return Proof(
        model=model,
        golden=manifest.golden.rows if manifest.golden else 0,
        rows=checked.rows,
        largest=checked.largest,
        classes=(len(seen), len(manifest.outputs.classes)),
        cost=cost_of(folder, model, events),
        warnings=warnings,
    )


def _events(folder: Path, manifest: Manifest) -> list[Payload]:
    if (folder / SAMPLE_FILE).exists():
        return read_lines(folder / SAMPLE_FILE)
    if manifest.golden is None:
        return []
    golden = read_golden(folder, manifest.golden, str(folder))
    return [each.event for each in golden if isinstance(each.event, dict)]


def _about_comparison(manifest: Manifest) -> list[str]:
    if manifest.parity is None or manifest.parity.compared == "nothing":
        return [
            "Nothing was compared with the library that trained it: nobody knows whether scores are right."
        ]
    return []


def _alone(model: Model, events: Sequence[Payload]) -> None:
    together = model.score(events)
    for number, (event, among) in enumerate(zip(events, together, strict=True), start=1):
        (alone,) = model.score([event])
        if isinstance(alone, Failure) and isinstance(among, Failure):
            continue
        if (
            isinstance(alone, Failure)
            or isinstance(among, Failure)
            or not _same(alone, among, model.manifest)
        ):
            raise ExportError(
                f"The model {model.name} scores event {number} of its sample otherwise alone than among "
                "others: something in the file mixes the rows of a batch."
            )


def _same(one: Scores, other: Scores, manifest: Manifest) -> bool:
    mine, theirs = (tuple(each.values.values()) or (each.value,) for each in (one, other))
    off = scaled_difference(mine, theirs, manifest.kind)
    return one.label == other.label and off <= manifest.tolerance()


def _contradictions(scored: Sequence[Scores], manifest: Manifest) -> list[str]:
    if manifest.kind not in (Kind.CLASSIFIER, Kind.MULTICLASS, Kind.CLUSTERER):
        return []
    pick = min if manifest.kind is Kind.CLUSTERER else max
    against = sum(
        1
        for each in scored
        if each.label is not None
        and abs(each.values[each.label] - pick(each.values.values())) > 2 * manifest.tolerance()
    )
    if not against:
        return []
    what = (
        f"In {against:,} of {len(scored):,} rows the label is not that of the best number: the model has a "
        "threshold of its own, or its classes stand in another order than its columns."
    )
    return [what]
