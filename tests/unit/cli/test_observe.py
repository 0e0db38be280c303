"""The lag that `everscore status` shows."""

from __future__ import annotations

import pytest

from everscore.watch.furthest import Mark
from everscore_cli.observe import HubEnd, Partition, furthest, with_lag


@pytest.mark.parametrize(
    ("checkpoint", "marks", "lag"),
    [
        (2_002, {}, 8),
        # A host that had lost the partition ended a call late: its checkpoint went back, the events did not.
        (17, {"0": Mark(2_002, 0, 2_005)}, 8),
        (2_008, {"0": Mark(2_002, 0, 2_005)}, 2),
        (None, {"0": Mark(2_002, 0, 2_005)}, 8),
        # Of a hub that was made anew nothing was passed yet, whatever was of the old one.
        (17, {"0": Mark(2_002, 0, 3_000)}, 1_993),
        # Read after the end of the partition, it may lie beyond that.
        (2_020, {}, 0),
        (None, {}, 2_011),
    ],
)
def test_hole_50_the_lag_counts_from_where_the_partition_was_passed_at_its_furthest(
    checkpoint: int | None, marks: dict[str, Mark], lag: int
) -> None:
    """Hole 50: a checkpoint that went back is shown as it is, and makes no event wait again."""
    passed = {} if checkpoint is None else {"0": checkpoint}
    ends = {"0": HubEnd(0, 2_010), "1": HubEnd(None, None)}
    assert with_lag(ends, passed, marks) == [
        Partition("0", 2_010, checkpoint, lag),
        Partition("1", None, None, 0),
    ]
    assert "1" not in furthest(ends, passed, marks)
