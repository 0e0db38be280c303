"""What the pipeline asks of a model: it turns a batch of payloads into scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from everscore.clock.deadline import Deadline
from everscore.event.scores import Scores
from everscore.failures import Failure
from everscore.score.manifest import Manifest


class Model(Protocol):
    """A loaded model. `score` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The manifest's name, under which documents keep the scores."""

    @property
    def version(self) -> str:
        """The manifest's version."""

    @property
    def sha256(self) -> str:
        """SHA-256 of model.onnx; with a features.py, of both hashes joined by a line feed."""

    @property
    def threads(self) -> int:
        """Threads that one call may use."""

    @property
    def manifest(self) -> Manifest:
        """The whole manifest."""

    def score(self, payloads: Sequence[object], until: Deadline | None = None) -> list[Scores | Failure]:
        """Scores a batch, one result a payload, in order. Blocks: call it in a worker thread.

        No exception of one event reaches its neighbours: what one payload brings about is its own Failure.

        Args:
            payloads: of the batch.
            until: from when on no more calls are begun than the first; what is not scored then is Overdue.
                A call that is under way takes the time that it takes.
        """
