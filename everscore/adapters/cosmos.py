"""The document store on Cosmos DB: transactional batches through the async SDK."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosBatchOperationError,
    CosmosClientTimeoutError,
    CosmosHttpResponseError,
)

from everscore.adapters.bounds import bounded
from everscore.adapters.classification import (
    classify_cosmos,
    classify_cosmos_operation,
    is_key_mismatch,
    unreadable_answer,
)
from everscore.adapters.credentials import Credentials
from everscore.adapters.transport import transport
from everscore.config.connections import Connection, on_loopback, parts_of
from everscore.failures import Configuration, Failure, Stage, Throttled, Transient
from everscore.ports import Document, Write, WriteRefusedError
from everscore.quoting import quote

_READ = (
    "SELECT c.id, c._etag, c.time, c.source, c.fingerprint, c.scores, c.shadow, c.earlierScores, c.outcome "
    "FROM c WHERE ARRAY_CONTAINS(@ids, c.id)"
)


# What the SDK raises where it reaches nobody, or is refused; and what the system does, that it lets through.
_UNREACHED = (AzureError, OSError)
# What the SDK and we meet in a JSON answer that is made in another way than the service's.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)


class CosmosStore:
    """Documents in one container.

    The SDK's own retries are set low on purpose: above it, waits share the batch's deadline, and an outage
    must not cost one long time-out a batch.

    Args:
        connection: of the account.
        database, container: names; the deployment creates both.
        timeout: seconds for one request, with the token, the SDK's retries and, the first time, connecting.
        credentials: for a connection without a key.
    """

    def __init__(
        self,
        connection: Connection,
        database: str,
        container: str,
        *,
        timeout: float,
        credentials: Credentials,
    ) -> None:
        self._connection = connection
        self._database = database
        self._container = container
        self._timeout = timeout
        # The SDK ends its own tries a little earlier, since it knows the last answer.
        self._sdk_timeout = 0.9 * timeout
        self._credentials = credentials
        self._client: CosmosClient | None = None
        self._connecting: asyncio.Task[Failure | None] | None = None

    async def write(self, pk: str, writes: Sequence[Write]) -> float:
        """See everscore.ports.DocumentStore."""
        # Built afresh for each call: the SDK empties the options of a batch's operations.
        operations: list[tuple[Any, ...]] = [
            ("create", (write.document,))
            if write.etag is None
            else ("replace", (write.document["id"], write.document), {"if_match_etag": write.etag})
            for write in writes
        ]
        answers: list[object] = []
        try:
            async with self._bounded():
                container = await self._connect()
                result = await container.execute_item_batch(
                    operations, pk, timeout=self._sdk_timeout, raw_response_hook=answers.append
                )
        except CosmosBatchOperationError as error:
            raise _refused_operation(error, len(operations)) from error
        except _UNREACHED as error:
            raise _refused_request(error, len(operations)) from error
        except Failure as failure:
            raise WriteRefusedError(failure, None) from failure
        except _MALFORMED as error:
            if not answers:  # of a document that cannot be sent: its own fault, to be bisected
                raise
            detail = f"{type(error).__name__}: {quote(str(error))}"
            raise WriteRefusedError(unreadable_answer(detail), None) from error
        # The SDK takes any JSON for a success, and an event that only seems to be stored would be lost.
        if len(result) != len(operations):
            detail = f"{len(result)} results for {len(operations)} operations"
            raise WriteRefusedError(unreadable_answer(detail), None)
        # It has read each status as a number, and looked only whether it is 400 or more.
        if odd := [status for each in result if not 200 <= (status := int(each["statusCode"])) < 300]:
            raise WriteRefusedError(unreadable_answer(f"an operation ended with {odd[0]}"), None)
        return _charge(result.get_response_headers())

    async def read(self, pk: str, ids: Sequence[str]) -> dict[str, Document]:
        """See everscore.ports.DocumentStore."""
        answers: list[object] = []
        try:
            async with self._bounded():
                container = await self._connect()
                pages = container.query_items(
                    _READ,
                    parameters=[{"name": "@ids", "value": list(ids)}],
                    partition_key=pk,
                    timeout=self._sdk_timeout,
                    raw_response_hook=answers.append,
                )
                return {document["id"]: document async for document in pages}
        except _UNREACHED as error:
            raise failure_of(error) from error
        except _MALFORMED as error:
            if not answers:
                raise
            raise unreadable_answer(f"{type(error).__name__}: {quote(str(error))}") from error

    async def check(self) -> None:
        """Whether the container can be reached.

        Raises:
            Failure: it cannot; the sentence says why and what to do.
        """
        try:
            async with self._bounded():
                container = await self._connect()
                await container.read(timeout=self._sdk_timeout)
        except _UNREACHED as error:
            raise failure_of(error) from error

    async def close(self) -> None:
        """Close the client."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _bounded(self) -> AbstractAsyncContextManager[None]:
        return bounded(Stage.STORE, "store", "Cosmos DB", self._timeout)

    async def _connect(self) -> ContainerProxy:
        """The container, its client made on first use; the first call asks the account.

        Raises:
            Failure: the account does not answer. One attempt answers all who wait for it: one after the
                other they would wait far beyond what any of them may take.
        """
        if self._client is None:
            if self._connecting is None:
                # A task of its own: it goes on for the others where the time of one of them ends.
                self._connecting = asyncio.create_task(self._try_to_connect())
                self._connecting.add_done_callback(self._end_connecting)
            connecting = self._connecting
            # Not cancelled with who waits for it; and who closes the client cancels it, and no invocation.
            await asyncio.wait({connecting})
            failure = None if connecting.cancelled() else connecting.result()
            if failure is not None:
                # Raised by each that waited, it would go on holding the frames of all of them.
                raise failure.with_traceback(None)
        if self._client is None:
            raise Transient(Stage.STORE, "store not reached", "the client was closed meanwhile")
        return self._client.get_database_client(self._database).get_container_client(self._container)

    def _end_connecting(self, _: asyncio.Task[Failure | None]) -> None:
        self._connecting = None

    async def _try_to_connect(self) -> Failure | None:
        client = self._make_client()
        failure: Failure | None = None
        try:
            async with asyncio.timeout(self._sdk_timeout):
                await client.__aenter__()
        except TimeoutError:
            seconds = f"no answer within {self._sdk_timeout:g} seconds"
            failure = Transient(Stage.STORE, "store does not answer", seconds)
        except _UNREACHED as error:
            failure = _no_events(failure_of(error))
        except binascii.Error as error:
            hint = f"the AccountKey in {self._connection.name} is no base64; copy it anew"
            failure = Configuration(Stage.STORE, "not authenticated", f"{hint}: {quote(str(error))}")
        except _MALFORMED as error:
            failure = unreadable_answer(f"{type(error).__name__}: {quote(str(error))}")
        except BaseException:
            await client.close()
            raise
        if failure is None:
            self._client = client
        else:
            await client.close()
        return failure

    def _make_client(self) -> CosmosClient:
        connection = self._connection
        credential: Any
        if connection.connection_string:
            parts = parts_of(connection.connection_string)
            url, credential = parts["accountendpoint"], parts["accountkey"]
        else:
            url, credential = connection.endpoints["account"], self._credentials.get(connection.client_id)
        return CosmosClient(
            url,
            credential,
            # In Azure the account's metadata lead from region to region. An emulator's name its own port,
            # though it may be published at another: there nothing, or something else, answers.
            enable_endpoint_discovery=not on_loopback(url),
            transport=transport(min(3.0, self._timeout), self._timeout),
            enable_compact_utf8_item_writes=True,  # non-ASCII text doubles in size otherwise
            no_response_on_write=True,
            connection_timeout=min(3.0, self._timeout),
            read_timeout=self._timeout,
            retry_total=1,
            retry_connect=1,
            retry_read=0,
            retry_status=0,
            retry_write=0,
            # The waits are ours, within the batch's deadline. The SDK waits once for as long as the service's
            # hint says, whatever its maximum, unless that is below zero; 0 would mean 30 seconds.
            retry_throttle_total=1,
            retry_throttle_backoff_max=-1,
        )


def failure_of(error: Exception, *, shared: bool = False) -> Failure:
    """The failure that an exception of the SDK, or of the system below it, stands for.

    Args:
        error: one of ``_UNREACHED``.
        shared: see `everscore.adapters.classification.classify_cosmos`.
    """
    if isinstance(error, CosmosClientTimeoutError):
        last = error.inner_exception  # what the SDK has met again and again until then
        if isinstance(last, AzureError):
            return _no_events(failure_of(last))
        return Transient(Stage.STORE, "store timed out", "the outcome of the request is unknown")
    if isinstance(error, ClientAuthenticationError) and not isinstance(error, CosmosHttpResponseError):
        return Transient(Stage.STORE, "no token", quote(str(error)))
    if isinstance(error, HttpResponseError) and error.status_code:
        headers = _headers(error)
        sub_status = getattr(error, "sub_status", None)
        return classify_cosmos(
            error.status_code, sub_status, str(error.message or ""), _retry_after(headers), shared=shared
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        # Unchecked for localhost and 127.0.0.1 alone, by the SDK itself (its requests' is_ssl_enabled).
        hint = "an emulator on this machine is reached as 127.0.0.1; any other server needs a valid one"
        return Configuration(Stage.STORE, "certificate not trusted", f"{hint}: {quote(str(error))}")
    return Transient(Stage.STORE, "store not reached", f"{type(error).__name__}: {quote(str(error))}")


def _no_events(failure: Failure) -> Failure:
    """The failure of connecting: of whatever class its answer is, no event is guilty of it."""
    if isinstance(failure, Transient | Throttled | Configuration):
        return failure
    return Transient(failure.stage, "store not reached", str(failure), retry_after=failure.retry_after)


def _refused_request(error: Exception, count: int) -> WriteRefusedError:
    """How a batch of so many operations was refused as a whole."""
    failure = failure_of(error, shared=count > 1)
    status, sub_status = getattr(error, "status_code", None), getattr(error, "sub_status", None)
    # What a lone document is refused for says nothing of the store.
    of_the_document = count == 1 and status == 400 and not is_key_mismatch(status, sub_status)
    return WriteRefusedError(failure, 0 if of_the_document else None)


def _refused_operation(error: CosmosBatchOperationError, count: int) -> WriteRefusedError:
    """How a batch of so many operations was refused for one of them.

    The SDK takes any JSON with a status in it for the answer of a batch, wherever it comes from.
    """
    try:
        status, index = int(error.status_code or 0), int(error.error_index)
        response: dict[str, Any] = error.operation_responses[index]
        hint = response.get("retryAfterMilliseconds")
        retry_after = hint / 1000 if isinstance(hint, int | float) else _retry_after(error.headers or {})
        sub_status = response.get("subStatusCode") or error.sub_status
    except (*_MALFORMED, IndexError, ArithmeticError) as odd:
        return WriteRefusedError(unreadable_answer(f"{type(odd).__name__}: {quote(str(odd))}"), None)
    if not status or not 0 <= index < count:
        detail = f"operation {index} of {count} was refused with {status}"
        return WriteRefusedError(unreadable_answer(detail), None)
    failure = classify_cosmos_operation(status, sub_status, str(error.http_error_message or ""), retry_after)
    return WriteRefusedError(failure, None if is_key_mismatch(status, sub_status) else index)


def _headers(error: HttpResponseError) -> Any:
    return getattr(error, "headers", None) or getattr(error.response, "headers", None) or {}


def _retry_after(headers: Any) -> float | None:
    text = headers.get("x-ms-retry-after-ms")
    try:
        return float(text) / 1000 if text else None
    except ValueError:
        return None


def _charge(headers: Any) -> float:
    try:
        return float(headers.get("x-ms-request-charge") or 0.0)
    except ValueError:
        return 0.0
