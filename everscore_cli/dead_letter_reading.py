"""Reads the dead letters of a listing, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from itertools import batched

from everscore.adapters.blobs import Letter, StorageBlobs

# Requests at once.
PARALLEL = 16
_PAGE = 256


async def read_pages(
    blobs: StorageBlobs, letters: Sequence[Letter]
) -> AsyncGenerator[list[tuple[Letter, bytes | None]]]:
    """The letters with their bytes, in order; None of one that has gone since it was listed.

    Raises:
        Failure: they could not be read.
    """
    slots = asyncio.Semaphore(PARALLEL)

    async def read(letter: Letter) -> tuple[Letter, bytes | None]:
        async with slots:
            return letter, await blobs.get_dead_letter(letter.name)

    for page in batched(letters, _PAGE, strict=False):
        yield await asyncio.gather(*map(read, page))
