"""What the triggers do while the app cannot be built: the batch is kept, and the log says what to do."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest

from everscore.flow.ending import NotStartedError
from everscore.flow.score_events import RetryState
from function_app import composition, runtime
from tests.fakes import World, item_of
from tests.support.services import ROOT

TIMEOUT = "AzureFunctionsJobHost__functionTimeout"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of local.settings.example.json; no invocation is held."""
    values = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runtime, "_budget_without_settings", lambda: 0.0)


def no_setting(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    """A setting is missing."""
    monkeypatch.delenv("COSMOS")


def budget_of_the_host(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    """The host would end the worker before the app ends its invocation."""
    monkeypatch.setenv("TIME_BUDGET_SECONDS", "595")


def no_stream(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The app's folder has no stream.json."""
    monkeypatch.setattr(composition, "ROOT", folder)


def no_package(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    """A package is missing."""

    def build() -> None:
        raise ModuleNotFoundError("No module named 'msgspec'")

    monkeypatch.setattr(composition, "build", build)


REASONS = [
    (no_setting, "COSMOS is not set; expected a connection string", "Correct that and restart the app"),
    (
        budget_of_the_host,
        "TIME_BUDGET_SECONDS is 595; expected at most 590",
        "Correct that and restart the app",
    ),
    (no_stream, "stream.json", "Correct that and restart the app"),
    (no_package, "ModuleNotFoundError: No module named", "Deploy the app again with all of its files"),
]


def context(max_retry_count: int = -1) -> Any:
    """Of a first try."""
    return SimpleNamespace(
        retry_context=SimpleNamespace(retry_count=0, max_retry_count=max_retry_count), trace_context=None
    )


CALLS: list[tuple[Callable[[], Coroutine[Any, Any, None]], str]] = [
    (lambda: runtime.score_events([], context()), "No event can be scored: .*; the hub keeps the batch"),
    (lambda: runtime.score_events([], context(0)), "No event can be scored: .* THE BATCH MAY BE LOST"),
    (
        lambda: runtime.retry_events(func.QueueMessage(body=b"x")),
        "No event can be retried: .*; the retry queue keeps the message",
    ),
    (
        runtime.housekeeping,
        "The poison queue cannot be emptied: .*; it keeps its messages for 7 days",
    ),
]


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize("reason", REASONS, ids=[each[0].__name__ for each in REASONS])
@pytest.mark.parametrize("called", CALLS, ids=["score", "score-unprotected", "retry", "housekeeping"])
async def test_an_app_that_cannot_be_built_says_why_and_what_to_do(
    reason, called, monkeypatch, tmp_path, caplog
) -> None:
    """One sentence of what is wrong, one of what to do and where the events are, in the log and to the host alike."""
    (spoil, why, todo), (call, what) = reason, called
    spoil(monkeypatch, tmp_path)
    with pytest.raises(NotStartedError, match=what) as raised:
        await call()
    text = str(raised.value)
    assert why in text
    assert todo in text
    assert ".." not in text
    assert [
        (each.levelno, each.getMessage()) for each in caplog.records if each.name == runtime.__name__
    ] == [(logging.CRITICAL, text)]


@pytest.mark.usefixtures("example")
async def test_without_a_retry_policy_the_batch_is_held_before_it_is_given_up(monkeypatch) -> None:
    """Whoever corrects the settings restarts the app meanwhile, with the checkpoint unmoved."""
    monkeypatch.delenv("COSMOS")
    monkeypatch.setattr(runtime, "_budget_without_settings", lambda: 3_600.0)
    held = asyncio.create_task(runtime.score_events([], context(0)))
    done, _ = await asyncio.wait([held], timeout=0.5)
    assert not done
    held.cancel()
    with pytest.raises(NotStartedError):
        await runtime.score_events([], context(-1))


@pytest.mark.parametrize(
    ("timeout", "expected"), [("00:10:00", 540), ("00:05:00", 290), ("00:00:05", 0), ("-1", 540)]
)
def test_an_invocation_without_settings_is_held_no_longer_than_the_host_waits(
    monkeypatch, timeout: str, expected: float
) -> None:
    """The host would end the worker, and each try would look like a crash."""
    monkeypatch.setenv(TIMEOUT, timeout)
    assert runtime._budget_without_settings() == expected


async def test_tries_for_which_the_app_was_not_there_are_no_crashes() -> None:
    """Nothing was read in them, so that the batch is scored as ever once the app is there."""
    world = World()
    previous = "Result: Failure\nException: NotStartedError: No event can be scored: COSMOS is not set."
    await world.score(item_of(1), retry=RetryState(count=9, endless=True, previous=previous))
    assert list(world.stored) == ["id-1"]
