"""A checkpoint that goes back: what was passed once does not wait."""

from __future__ import annotations

from everscore.watch.furthest import NAME, Mark, advance, read_marks
from tests.fakes import FakeBlobs
from tests.unit.watch.test_telemetry import Range


def test_hole_50_a_checkpoint_that_goes_back_takes_nothing_back() -> None:
    """Hole 50: the highest checkpoint counts, until a higher one comes."""
    marks = advance({}, {"0": Range(0, 2_002), "1": Range(0, 9)}, {"0": 2_002})
    assert marks == {"0": Mark(2_002, 0, 2_002)}
    marks = advance(marks, {"0": Range(5, 2_002)}, {"0": 17})
    assert marks == {"0": Mark(2_002, 5, 2_002)}
    marks = advance(marks, {"0": Range(5, 2_004)}, {"0": 2_003})
    assert marks == {"0": Mark(2_003, 5, 2_004)}


def test_hole_50_a_hub_made_anew_is_passed_by_nobody() -> None:
    """Hole 50: its numbers begin again, and what was passed of the old one hides nothing of it."""
    old = {"0": Mark(2_002, 500, 2_002), "1": Mark(40, 0, 40)}
    marks = advance(old, {"0": Range(0, 2_050), "1": Range(0, 30)}, {"0": 3})
    assert marks == {"0": Mark(3, 0, 2_050)}
    stale = advance(old, {"0": Range(0, 60)}, {"0": 2_002})
    assert stale == {}
    assert advance(stale, {"0": Range(0, 2_100)}, {"0": 3}) == {"0": Mark(3, 0, 2_100)}


async def test_what_is_not_readable_is_written_anew() -> None:
    """A blob of another form costs the memory of what was passed, and nothing else."""
    blobs = FakeBlobs()
    assert await read_marks(blobs) == {}
    blobs.status[NAME] = b'{"0": 5}'
    assert await read_marks(blobs) == {}
