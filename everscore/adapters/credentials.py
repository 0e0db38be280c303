"""The identity that connections without a key use: made once, closed once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

from everscore.failures import describe

# What azure-identity meets in an answer that is none of its service's.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
# What azure-identity says where no way to sign in works (azure/identity/aio/_credentials/chained.py).
_NO_TOKEN = "failed to retrieve a token from the included credentials"  # noqa: S105 - a sentence


def is_without_token(error: BaseException) -> bool:
    """Whether a credential gave no token, so that no service was asked.

    The Event Hubs client wraps what the credential raised into an error of its own, and keeps of it the text.
    """
    if isinstance(error, ClientAuthenticationError):
        return error.status_code is None
    return _NO_TOKEN in str(error)


class SharedCredential:
    """An identity that is asked once for all who wait for the same token.

    Each of them waits no longer than its own request may take. The asking goes on without them: given up with
    each request, a token that takes longer than a request would never come.
    """

    def __init__(self, identity: DefaultAzureCredential | ManagedIdentityCredential) -> None:
        self._identity = identity
        self._asking: dict[Any, asyncio.Task[Any]] = {}

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """See azure.core.credentials_async.AsyncTokenCredential."""
        return await self._once((scopes, *options.items()), self._identity.get_token(*scopes, **options))

    async def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """See azure.core.credentials_async.AsyncSupportsTokenInfo."""
        asked = self._identity.get_token_info(*scopes, options=options)
        return await self._once(("info", scopes, *(options or {}).items()), asked)

    async def _once[T](self, key: Any, asked: Coroutine[Any, Any, T]) -> T:
        task: asyncio.Task[T] | None = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(asked)
            task.add_done_callback(partial(self._asked, key))
        else:
            asked.close()
        # Not cancelled with who waits for it; and who closes the credential cancels it, and no request.
        await asyncio.wait({task})
        if task.cancelled():
            raise ClientAuthenticationError("the credential was closed before a token came")
        try:
            return task.result()
        except _MALFORMED as error:
            # Whatever answers in place of the identity's service: no request that wanted a token is guilty.
            detail = f"the identity's answer is not readable: {describe(error)}"
            raise ClientAuthenticationError(detail) from error

    def _asked(self, key: Any, task: asyncio.Task[Any]) -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, though nobody may have waited to the end

    async def close(self) -> None:
        """Close the identity; who still waits for a token gets none."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._identity.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """The clients share it: ``Credentials`` closes it, not each of them."""


class Credentials:
    """One credential for each identity, shared by all clients of a process and event loop."""

    def __init__(self) -> None:
        self._made: dict[str | None, SharedCredential] = {}

    def get(self, client_id: str | None) -> SharedCredential:
        """The managed identity with that client id, or the default chain (the developer's own login)."""
        if client_id not in self._made:
            self._made[client_id] = SharedCredential(
                ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()
            )
        return self._made[client_id]

    async def close(self) -> None:
        """Close what was made, all of it also where closing one raises."""
        async with AsyncExitStack() as closing:
            for credential in self._made.values():
                closing.push_async_callback(credential.close)
            self._made.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
