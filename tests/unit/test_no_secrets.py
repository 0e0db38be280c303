"""Whatever raises, and whatever it says: no secret gets into a letter, a report or a log."""

from __future__ import annotations

import logging

from opentelemetry.sdk.metrics.export import MetricsData

from everscore.decode.decoder import Decoder
from everscore.decode.own_decoder import call_hook
from everscore.event.item import Item
from everscore.failures import EverscoreError, Permanent, Stage, Transient, describe, unexpected
from everscore.flow.ending import note
from everscore.watch.health import examine
from function_app.exporters import LazyExporter
from tests.fakes import stream_of

SECRET = "hunter2"
ADDRESS = f"https://user:{SECRET}@registry.example/schemas"


def raising(error: Exception):
    """A decoder that raises."""

    def hook(_bodies: list[bytes]) -> list[object]:
        raise error

    return hook


def test_hole_24_a_letter_holds_no_secret_whatever_own_code_says() -> None:
    """An exception of an own decoder, also one that it gives back or has made a failure of, is masked."""
    sayings = [
        raising(OSError(f"cannot reach {ADDRESS}")),
        raising(Transient(Stage.DECODE, "registry away", f"cannot reach {ADDRESS}")),
        lambda bodies: [ValueError(f"cannot reach {ADDRESS}")] * len(bodies),
        lambda bodies: [Permanent(Stage.DECODE, "no schema", ADDRESS)] * len(bodies),
    ]
    for hook in sayings:
        [event] = Decoder(stream_of(), hook=hook).decode([Item(body=b"x")])
        note(event, "2026-11-25T10:00:00.000Z")
        assert event.failure is not None
        assert "registry.example" in (event.item.exception or "")
        for text in (event.item.exception or "", str(event.failure), repr(event.failure)):
            assert SECRET not in text


def test_hole_24_a_description_holds_no_secret() -> None:
    """Every exception has a description, our own sentences whole."""
    for error in (
        OSError(ADDRESS),
        EverscoreError(f"wrong: {ADDRESS}"),
        unexpected(Stage.SCORE, OSError(ADDRESS)),
    ):
        assert SECRET not in describe(error)
        assert "registry.example" in describe(error)
    assert describe(TimeoutError()) == "TimeoutError"
    assert describe(EverscoreError("a\n" + "b" * 1_000)) == "a\n" + "b" * 1_000
    assert call_hook(raising(KeyError("x")), [b""])[0].detail == "'x'"  # type: ignore[attr-defined]


async def test_hole_24_the_health_report_holds_no_secret() -> None:
    """What a probe raises is masked, foreseen or not."""

    async def unforeseen() -> str:
        raise OSError(ADDRESS)

    async def foreseen() -> str:
        raise EverscoreError(ADDRESS)

    report = await examine({"one": unforeseen, "other": foreseen})
    for check in report.checks.values():
        assert SECRET not in (check.detail or "")
        assert "registry.example" in (check.detail or "")


def test_hole_24_the_log_of_an_exporter_holds_no_secret(caplog) -> None:
    """Neither what making an exporter raises nor what its library logs shows a password of its address."""

    def make():
        logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter").warning("no %s", ADDRESS)
        raise OSError(ADDRESS)

    LazyExporter("a collector", make).export(MetricsData([]))
    words = LazyExporter("a collector", make)._last_words
    words.emit(logging.makeLogRecord({"msg": "no %s", "args": (ADDRESS,)}))
    assert "registry.example" in caplog.text
    for text in (caplog.text, words.text):
        assert "registry.example" in text
        assert SECRET not in text
