"""How far each partition was passed at its furthest, since a checkpoint can go back.

A host that loses a partition is not told: the end of its call is checkpointed, behind what the new owner has
passed meanwhile, and the checkpoint stays there until the partition's next event. What was passed once has
its end all the same, and does not wait.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from everscore.ports import Blobs, PartitionRange

logger = logging.getLogger(__name__)

# Name of the blob beside the functions' reports.
NAME = "partitions"


class Mark(msgspec.Struct, frozen=True):
    """One partition.

    Attributes:
        number: the highest checkpoint that was seen.
        first, last: the sequence numbers that the partition held when it was last looked at.
    """

    number: int
    first: int
    last: int


_decoder = msgspec.json.Decoder(dict[str, Mark])


async def read_marks(blobs: Blobs) -> dict[str, Mark]:
    """The marks that were last written; none yet, or unreadable ones, count from now on.

    Raises:
        Failure: they are out of reach.
    """
    data = await blobs.get_status(NAME)
    if data is None:
        return {}
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        logger.warning("How far the partitions were passed is not readable, and is written anew: %s", error)
        return {}


async def write_marks(blobs: Blobs, marks: Mapping[str, Mark]) -> None:
    """Replace them.

    Raises:
        Failure: they are out of reach.
    """
    await blobs.put_status(NAME, msgspec.json.encode(marks))


def advance(
    marks: Mapping[str, Mark], ranges: Mapping[str, PartitionRange], checkpoints: Mapping[str, int]
) -> dict[str, Mark]:
    """The marks after a look at hub and checkpoints; a partition of which nothing was passed is missing.

    A hub that was made anew counts from 0 again, which shows in numbers that have fallen: what was passed of
    the old one says nothing about it, nor does a checkpoint beyond what the hub holds.
    """
    found: dict[str, Mark] = {}
    for partition, held in ranges.items():
        mark = marks.get(partition)
        if mark is not None and (held.last < mark.last or held.first < mark.first):
            mark = None
        checkpoint = checkpoints.get(partition, -1)
        number = max(checkpoint if checkpoint <= held.last else -1, mark.number if mark else -1)
        if number >= 0:
            found[partition] = Mark(number, held.first, held.last)
    return found
