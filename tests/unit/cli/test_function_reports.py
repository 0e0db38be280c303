"""What `everscore status` makes of the reports of the functions."""

from __future__ import annotations

from typing import Self

import msgspec

from everscore.watch.status import StatusReport
from everscore_cli import function_reports
from everscore_cli.function_reports import reports_json, sentences
from tests.fakes import FakeBlobs


async def test_hole_48_a_model_that_does_not_load_is_a_problem_wherever_the_app_runs(monkeypatch) -> None:
    """Hole 48: no other part of a deployment can be asked for its model than what its functions report."""
    blobs = FakeBlobs()
    said = "score: model missing: no model.onnx"
    report = StatusReport("score_events", at="2026-11-25T10:00:00.000Z", model_failure=said)
    blobs.status["score_events"] = msgspec.json.encode(report)

    class Found:
        def __init__(self, settings: object) -> None:
            self.blobs = blobs

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *raised: object) -> None:
            return None

    monkeypatch.setattr(function_reports, "destinations", Found)
    reports = await function_reports.read_reports(None)  # type: ignore[arg-type]
    told = "score_events: the model does not load: at 2026-11-25T10:00:00.000Z"
    assert sentences(reports) == [f"{told}: {said}; its events wait in the retry queue."]
    assert reports_json(reports)["score_events"]["modelFailure"] == said
    assert reports_json(reports)["retry_events"] is None
