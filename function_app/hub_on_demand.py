"""The hub beside the trigger: needed seldom, and its SDK loads slowly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from everscore.adapters.credentials import Credentials
from everscore.config.settings import Settings
from everscore.event.item import Source
from everscore.ports import HubEvent, PartitionRange

if TYPE_CHECKING:
    from everscore.adapters.hub import HubReader


class HubOnDemand:
    """A hub that is connected when it is first asked."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._reader: HubReader | None = None

    async def fetch(self, source: Source) -> HubEvent | None:
        """See everscore.ports.Hub."""
        return await self._connect().fetch(source)

    async def partitions(self) -> Mapping[str, PartitionRange]:
        """See everscore.ports.HubRanges."""
        return await self._connect().partitions()

    def _connect(self) -> HubReader:
        if self._reader is None:
            from everscore.adapters.hub import HubReader  # noqa: PLC0415

            self._reader = HubReader(
                self._settings.eventhub_connection(),
                self._settings.eventhub_name,
                credentials=self._credentials,
            )
        return self._reader

    async def close(self) -> None:
        """Close the client, if there is one."""
        if self._reader is not None:
            await self._reader.close()
