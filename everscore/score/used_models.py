"""The models of a deployment: each with its source, and whether an event needs its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from everscore.event.scores import Scores
from everscore.event.stream import Stream
from everscore.failures import Failure
from everscore.score.loading import ModelSource, load_named
from everscore.score.manifest import Manifest
from everscore.score.model import Model


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """One of the models that score each event.

    Attributes:
        name: of its folder.
        source: gives the loaded model.
        required: an event that it cannot score is not stored.
    """

    name: str
    source: ModelSource
    required: bool = True


def models_in_use(stream: Stream, folder: Path, *, threads: int) -> list[ModelInUse]:
    """The models that stream.json names, none of them loaded yet.

    Args:
        stream: the checked stream.json.
        folder: holds a folder for each model.
        threads: that one scoring call of a model may use.
    """
    return [
        ModelInUse(each.name, ModelSource(folder / each.name, threads=threads), each.required)
        for each in stream.models
    ]


def first_failure(models: list[ModelInUse]) -> Failure | None:
    """Why one of the models did not load when it was last needed; None where all did."""
    return next((each.source.failure for each in models if each.source.failure is not None), None)


@dataclass(slots=True)
class Outcome:
    """What the models say of one event.

    Attributes:
        scores: by model.
        unscored: by model that is not required, why it gave no scores.
        failure: of the first required model that cannot score the event; there are no scores then.
    """

    scores: dict[str, Scores] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
    failure: Failure | None = None

    def take(self, model: str, result: Scores | Failure, *, required: bool, several: bool) -> None:
        """Note what a model says."""
        if isinstance(result, Scores):
            self.scores[model] = result
        elif required:
            self.failure = naming(model, result) if several else result
        else:
            self.unscored[model] = reason_of(result)


def naming(model: str, failure: Failure) -> Failure:
    """The failure, its sentence beginning with the model's name."""
    begin = f"Model {model}: "
    if not failure.detail.startswith(begin):  # one may stand for many events
        failure.detail = begin + failure.detail
    return failure


def reason_of(failure: Failure) -> str:
    """What stands in a document in place of scores: the reason, and the field where there is one."""
    return failure.reason if failure.field is None else f"{failure.reason} [{failure.field}]"


class LoadedModels:
    """All models of a stream, loaded, for scoring in place; the pipeline itself loads them on first use."""

    def __init__(self, models: Sequence[tuple[Model, bool]]) -> None:
        """Takes the models, in order, each with whether it is required."""
        self._models = models

    @classmethod
    def load(cls, stream: Stream, folder: Path) -> LoadedModels:
        """Load the models that stream.json names from the folders below ``folder``.

        Raises:
            ManifestError: the manifest of one is wrong.
            Failure: one is missing or unreadable.
        """
        return cls([(load_named(folder / each.name), each.required) for each in stream.models])

    @property
    def manifests(self) -> list[tuple[Manifest, bool]]:
        """Of the models, in order, each with whether it is required."""
        return [(model.manifest, required) for model, required in self._models]

    @property
    def names(self) -> list[str]:
        """Of the models, in order."""
        return [model.name for model, _ in self._models]

    def score(self, payloads: Sequence[object]) -> list[Outcome]:
        """What all models say of each payload, as a document would hold it."""
        outcomes = [Outcome() for _ in payloads]
        several = len(self._models) > 1
        # Those that are required come first, as in the pipeline: the others are not asked where one fails.
        for model, required in sorted(self._models, key=lambda each: not each[1]):
            left = [number for number, outcome in enumerate(outcomes) if outcome.failure is None]
            results = model.score([payloads[number] for number in left])
            for number, result in zip(left, results, strict=True):
                outcomes[number].take(model.name, result, required=required, several=several)
        return outcomes
