"""The alarm that a configuration seems to be at fault."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from everscore.clock import times
from everscore.watch import alarm as alarm_module
from everscore.watch.alarm import Alarm
from everscore.watch.judging import State, Tally, Verdict, judged
from everscore.watch.telemetry import Recorder
from everscore.watch.verdicts import Verdicts
from function_app import runtime
from tests.fakes import OUT, World, item_of


class Counting(Recorder):
    """Keeps the reasons that are counted."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def braked(self, reason: str) -> None:
        self.reasons.append(reason)


def braked(kind: str = "decode: not JSON") -> Verdict:
    """A verdict of 20 bodies that all failed."""
    return judged(Verdict(configuration="c"), "w", Tally(bodies=20, failed={kind: 20}), times.now())


def test_hole_02_the_alert_goes_on_for_as_long_as_the_brake_is_on(caplog, monkeypatch) -> None:
    """Each look counts, news are logged at once as critical, and the same only every ten minutes."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(alarm_module, "time", clock)
    recorder = Counting()
    alarm = Alarm(recorder)
    for _ in range(3):
        alarm.look_at(braked())
    assert recorder.reasons == ["decode: not JSON"] * 3
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    alarm.look_at(braked("validate: id missing"))
    assert len(caplog.records) == 2
    clock.now += 601
    alarm.look_at(braked("validate: id missing"))
    assert len(caplog.records) == 3
    alarm.look_at(Verdict(configuration="c", state=State.WELL))
    alarm.look_at(Verdict(configuration="c"))
    assert len(recorder.reasons) == 5
    alarm.look_at(braked("validate: id missing"))
    assert len(caplog.records) == 4


async def test_hole_02_the_alert_needs_no_further_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Housekeeping looks at the verdict every minute, whatever else it meets; one out of reach is none."""
    world = World(proven=False)
    await world.score(*(item_of(number, b"{") for number in range(20)))
    recorder = Counting()

    async def fail(_: object) -> None:
        raise OUT.with_traceback(None)

    parts = {
        "exporting": SimpleNamespace(telemetry=SimpleNamespace(begin=lambda _: None, enabled=False)),
        "keeper": SimpleNamespace(empty_poison_queue=fail),
        "verdicts": Verdicts(world.blobs, "c", fresh=0),
        "alarm": Alarm(recorder),
    }
    monkeypatch.setattr(runtime, "get", lambda: SimpleNamespace(**parts))
    with pytest.raises(type(OUT)):
        await runtime.housekeeping()
    assert recorder.reasons == ["decode: not JSON"]
    world.blobs.verdicts_refuse = OUT
    with pytest.raises(type(OUT)):
        await runtime.housekeeping()
    assert len(recorder.reasons) == 1
