"""The identity that connections without a key use: made once, closed once."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

# What azure-identity says where no way to sign in works (azure/identity/aio/_credentials/chained.py).
_NO_TOKEN = "failed to retrieve a token from the included credentials"  # noqa: S105 - a sentence


def is_without_token(error: BaseException) -> bool:
    """Whether a credential gave no token, so that no service was asked.

    The Event Hubs client wraps what the credential raised into an error of its own, and keeps of it the text.
    """
    if isinstance(error, ClientAuthenticationError):
        return error.status_code is None
    return _NO_TOKEN in str(error)


class Credentials:
    """One credential for each identity, shared by all clients of a process and event loop."""

    def __init__(self) -> None:
        self._made: dict[str | None, DefaultAzureCredential | ManagedIdentityCredential] = {}

    def get(self, client_id: str | None) -> AsyncTokenCredential:
        """The managed identity with that client id, or the default chain (the developer's own login)."""
        if client_id not in self._made:
            self._made[client_id] = (
                ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()
            )
        return self._made[client_id]

    async def close(self) -> None:
        """Close what was made."""
        for credential in self._made.values():
            await credential.close()
        self._made.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
