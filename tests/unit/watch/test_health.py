"""Whether all that the app depends on is there."""

from __future__ import annotations

import asyncio
import json

import pytest

from everscore.failures import Configuration, SettingError, Stage
from everscore.watch.health import examine
from function_app import composition, runtime


async def _fine() -> str:
    return "there"


async def _missing() -> str:
    raise Configuration(Stage.STORE, "container missing", "create it")


async def _broken() -> str:
    raise ZeroDivisionError("oops")


async def test_all_well_is_healthy() -> None:
    """Every part that answers is well, with what it found."""
    report = await examine({"a": _fine, "b": _fine})
    assert report.healthy
    assert json.loads(report.to_json())["checks"]["a"] == {"ok": True, "detail": "there"}


async def test_one_bad_part_is_named_and_hides_no_other() -> None:
    """What is wrong says what to do; an exception nobody foresaw is that part's alone."""
    report = await examine({"good": _fine, "bad": _missing, "odd": _broken})
    assert not report.healthy
    assert report.checks["good"].ok
    assert report.checks["bad"].detail == "store: container missing: create it"
    assert report.checks["odd"].detail == "unexpected ZeroDivisionError: oops"


async def test_parts_are_asked_at_once() -> None:
    """A slow part does not keep the others waiting: each waits here for the other."""
    first, second = asyncio.Event(), asyncio.Event()

    async def one() -> str:
        first.set()
        await second.wait()
        return ""

    async def other() -> str:
        second.set()
        await first.wait()
        return ""

    assert (await examine({"one": one, "other": other})).healthy


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (SettingError("COSMOS is not set."), "COSMOS is not set."),
        (ValueError("malformed"), "unexpected ValueError: malformed"),
    ],
)
async def test_an_app_that_cannot_be_built_says_why(monkeypatch, error, detail) -> None:
    """Whatever keeps the app from being built is in the report, which is all that an operator sees from outside."""

    def build() -> None:
        raise error

    monkeypatch.setattr(composition, "build", build)
    report = await runtime.health_details()
    assert not report.healthy
    assert report.checks["settings"].detail == detail
