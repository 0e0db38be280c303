"""Which events `everscore partition skip` would lead past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from everscore.adapters.checkpoints import Position
from everscore.adapters.hub_answers import PartitionState
from everscore_cli import observe
from everscore_cli.commands import partition
from everscore_cli.errors import CliError
from everscore_cli.project import Target


class Hub:
    """A hub of one partition, which holds the events 10 to 20."""

    async def partitions(self) -> dict[str, PartitionState]:
        return {
            "0": PartitionState(10, 20, is_empty=False, last_enqueued_at=datetime(2026, 11, 25, tzinfo=UTC))
        }


async def first(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, to: int, checkpoint: int | None) -> int:
    """The first event that is skipped."""

    async def positions(*_: object) -> dict[str, Position]:
        return {} if checkpoint is None else {"0": Position(checkpoint, datetime(2026, 11, 25, tzinfo=UTC))}

    monkeypatch.setattr(observe, "positions", positions)
    monkeypatch.delenv("EVERSCORE_ENV", raising=False)
    target = Target(tmp_path, tmp_path, None, {}, None)  # type: ignore[arg-type]
    return await partition._first(Hub(), None, target, "0", to)  # type: ignore[arg-type]


@pytest.mark.parametrize(("checkpoint", "expected"), [(None, 10), (3, 10), (14, 15)])
async def test_a_skip_begins_behind_the_checkpoint(monkeypatch, tmp_path, checkpoint, expected) -> None:
    """It begins with the first event that the hub still holds behind the checkpoint."""
    assert await first(monkeypatch, tmp_path, 16, checkpoint) == expected


@pytest.mark.parametrize(
    ("to", "checkpoint", "words"),
    [
        (7, None, "--to 7 is before the first event that partition 0 still holds, 10"),
        (7, 3, "--to 7 is before the first event that partition 0 still holds, 10"),
        (21, None, "--to 21 is past the last event of partition 0, 20"),
        (16, 16, "The checkpoint of partition 0 is at 16 already.*restart the Functions host"),
    ],
)
async def test_what_cannot_be_skipped_is_one_sentence(monkeypatch, tmp_path, to, checkpoint, words) -> None:
    """Events that have expired, are not there, or were skipped before; the last says what is left to do."""
    with pytest.raises(CliError, match=words):
        await first(monkeypatch, tmp_path, to, checkpoint)
