"""Which dead letters are settled: the store holds their event, as this version or a later one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from everscore.adapters.blobs import Letter, StorageBlobs
from everscore.decode.bodies import BodyLimits
from everscore.decode.decoder import Decoder
from everscore.event.item import Item
from everscore.event.order import Version
from everscore.event.stream import load_stream
from everscore.retry.dead_letter import decode_dead_letter
from everscore.retry.envelope import NewerEnvelopeError, UnreadableEnvelopeError
from everscore.store.documents import ForeignDocumentError, gives_way
from everscore_cli.app_checks import check_decoder
from everscore_cli.dead_letter_reading import PARALLEL, read_pages
from everscore_cli.project import Target


class Settled:
    """Compares letters with the store, by today's stream.json and own decoder."""

    def __init__(self, container: Any, decoder: Decoder, clock_ahead: timedelta) -> None:
        self._container, self._decoder, self._clock_ahead = container, decoder, clock_ahead
        self._slots = asyncio.Semaphore(PARALLEL)

    async def choose(
        self, blobs: StorageBlobs, letters: list[Letter], on_compared: Callable[[int], None]
    ) -> list[Letter]:
        """The settled ones of these letters, in order.

        Args:
            blobs: where they lie.
            letters: as they were listed.
            on_compared: called with how many more were compared.

        Raises:
            Failure: letters could not be read.
            CosmosHttpResponseError: the store could not be asked.
        """
        chosen: list[Letter] = []
        async with aclosing(read_pages(blobs, letters)) as pages:
            async for page in pages:
                verdicts = await asyncio.gather(*(self._is_settled(data) for _, data in page))
                chosen += [letter for (letter, _), yes in zip(page, verdicts, strict=True) if yes]
                on_compared(len(page))
        return chosen

    async def _is_settled(self, data: bytes | None) -> bool:
        if data is None:
            return False
        try:
            item = decode_dead_letter(data).item
        except (NewerEnvelopeError, UnreadableEnvelopeError):
            return False
        async with self._slots:
            events = await asyncio.to_thread(self._decoder.decode, [item])
            found = [await is_settled(self._container, each.item, self._clock_ahead) for each in events]
        return bool(found) and all(found)


def comparer(target: Target, container: Any) -> Settled:
    """What compares letters with a container, by the app's files and settings.

    Raises:
        ManifestError: stream.json is wrong.
        SettingError: there is no such decoder.
    """
    settings = target.settings
    clock_ahead = timedelta(hours=settings.clock_ahead_hours)
    stream = load_stream(target.app / "stream.json", clock_ahead)
    hook = check_decoder(target.app, target.variables)
    decoder = Decoder(stream, limits=BodyLimits.of(settings), hook=hook)
    return Settled(container, decoder, clock_ahead)


async def is_settled(container: Any, item: Item, clock_ahead: timedelta) -> bool:
    """Whether storing the item would find it superseded; by the very rule of storing."""
    if item.id is None or item.pk is None:
        return False
    query = "SELECT c.time, c.source, c.fingerprint FROM c WHERE c.id = @id"
    rows = container.query_items(query, parameters=[{"name": "@id", "value": item.id}], partition_key=item.pk)
    version = Version(item.time, item.source)
    try:
        return any([not gives_way(row, version, clock_ahead) async for row in rows])
    except ForeignDocumentError:  # the item waits for it to go: nothing of it is stored
        return False
