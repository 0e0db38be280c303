"""The hub beside the trigger: needed seldom, and its SDK loads slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everscore.adapters.credentials import Credentials
from everscore.envelope import Source
from everscore.ports import HubEvent
from everscore.settings import Settings

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
        if self._reader is None:
            from everscore.adapters.hub import HubReader  # noqa: PLC0415

            self._reader = HubReader(
                self._settings.eventhub_connection(),
                self._settings.eventhub_name,
                credentials=self._credentials,
            )
        return await self._reader.fetch(source)

    async def close(self) -> None:
        """Close the client, if there is one."""
        if self._reader is not None:
            await self._reader.close()
