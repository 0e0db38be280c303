"""Dead letters, claim checks, status and verdicts on Azure Storage blobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobServiceClient

from everscore.adapters.credentials import Credentials
from everscore.adapters.storage import client_options, request
from everscore.config.connections import Connection
from everscore.failures import Conflict, Stage
from everscore.ports import StoredBlob

_JSON = ContentSettings(content_type="application/json")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a listing shows of a dead letter, without reading it.

    Attributes:
        name: of the blob.
        stage, reason: why it is there; the reason in ASCII.
        failed_at, enqueued_at: ISO-8601, UTC; empty where unknown.
        size: bytes of the blob.
    """

    name: str
    stage: str
    reason: str
    failed_at: str
    enqueued_at: str
    size: int


class StorageBlobs:
    """Blobs in the two containers; status and verdicts lie with the claim checks.

    Args:
        connection: of the storage account.
        dead_letters, claim_checks: container names; the deployment creates both.
        timeout: seconds for one request, its tries together.
        credentials: for a connection without a key.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        dead_letters: str,
        claim_checks: str,
        timeout: float,
        credentials: Credentials,
    ) -> None:
        self._dead_letters = dead_letters
        self._claim_checks = claim_checks
        self._timeout = timeout
        options = client_options(timeout)
        if connection.connection_string:
            self._client = BlobServiceClient.from_connection_string(connection.connection_string, **options)
        else:
            self._client = BlobServiceClient(
                connection.endpoints["blob"], credential=credentials.get(connection.client_id), **options
            )

    async def put_dead_letter(self, name: str, data: bytes, metadata: Mapping[str, str]) -> None:
        """See everscore.ports.Blobs."""
        await self._put(self._dead_letters, name, data, metadata)

    async def get_dead_letter(self, name: str) -> bytes | None:
        """Read a dead letter; None when it is gone.

        Raises:
            Failure: it could not be read.
        """
        return await self._get(self._dead_letters, name)

    async def list_dead_letters(self, prefix: str = "") -> AsyncGenerator[Letter]:
        """The dead letters below a prefix, in the order of their names: by hour of enqueuing.

        Raises:
            Failure: they could not be listed.
        """
        pages = None
        while True:
            async with request(f"container {self._dead_letters}", self._timeout):
                if pages is None:
                    container = self._client.get_container_client(self._dead_letters)
                    listing = container.list_blobs(name_starts_with=prefix or None, include=["metadata"])
                    pages = listing.by_page()
                try:
                    page = [blob async for blob in await anext(pages)]
                except StopAsyncIteration:
                    return
            for blob in page:
                metadata = blob.metadata or {}
                yield Letter(
                    name=blob.name,
                    stage=metadata.get("stage", ""),
                    reason=metadata.get("reason", ""),
                    failed_at=metadata.get("failedat", ""),
                    enqueued_at=metadata.get("enqueuedat", ""),
                    size=blob.size or 0,
                )

    async def delete_dead_letter(self, name: str) -> None:
        """See everscore.ports.Blobs."""
        async with request(f"container {self._dead_letters}", self._timeout):
            try:
                await self._client.get_blob_client(self._dead_letters, name).delete_blob()
            except AzureError as error:
                if not _is_missing(error):
                    raise

    async def put_claim_check(self, name: str, data: bytes) -> None:
        """See everscore.ports.Blobs."""
        await self._put(self._claim_checks, name, data)

    async def get_claim_check(self, name: str) -> bytes | None:
        """See everscore.ports.Blobs."""
        return await self._get(self._claim_checks, name)

    async def put_status(self, name: str, data: bytes) -> None:
        """See everscore.ports.Blobs."""
        await self._put(self._claim_checks, f"status/{name}.json", data)

    async def get_status(self, name: str) -> bytes | None:
        """See everscore.ports.Blobs."""
        return await self._get(self._claim_checks, f"status/{name}.json")

    async def get_verdict(self, configuration: str) -> StoredBlob | None:
        """See everscore.ports.VerdictBlobs."""
        return await self._download(self._claim_checks, _verdict_name(configuration))

    async def put_verdict(self, configuration: str, data: bytes, etag: str | None) -> None:
        """See everscore.ports.VerdictBlobs."""
        condition: dict[str, Any] = {"overwrite": False}
        if etag is not None:
            condition = {"overwrite": True, "etag": etag, "match_condition": MatchConditions.IfNotModified}
        async with request(f"container {self._claim_checks}", self._timeout):
            blob = self._client.get_blob_client(self._claim_checks, _verdict_name(configuration))
            try:
                await blob.upload_blob(data, content_settings=_JSON, **condition)
            except (ResourceExistsError, ResourceModifiedError) as error:
                raise Conflict(Stage.RETRY, "changed meanwhile", f"verdict on {configuration}") from error
            except AzureError as error:
                if etag is not None and _is_missing(error):
                    raise Conflict(Stage.RETRY, "gone meanwhile", f"verdict on {configuration}") from error
                raise

    async def list_verdicts(self) -> list[bytes]:
        """All verdicts that there are.

        Raises:
            Failure: they could not be read.
        """
        async with request(f"container {self._claim_checks}", self._timeout):
            container = self._client.get_container_client(self._claim_checks)
            listing = container.list_blobs(name_starts_with="configurations/")
            names = [blob.name async for blob in listing]
        found = [await self._get(self._claim_checks, name) for name in names]
        return [data for data in found if data is not None]

    async def check(self) -> None:
        """Whether both containers are there.

        Raises:
            Failure: one cannot be reached; the sentence says why and what to do.
        """
        for container in (self._dead_letters, self._claim_checks):
            async with request(f"container {container}", self._timeout):
                await self._client.get_container_client(container).get_container_properties()

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    async def _put(
        self, container: str, name: str, data: bytes, metadata: Mapping[str, str] | None = None
    ) -> None:
        async with request(f"container {container}", self._timeout):
            blob = self._client.get_blob_client(container, name)
            await blob.upload_blob(
                data,
                overwrite=True,
                metadata=dict(metadata) if metadata else None,
                content_settings=_JSON,
            )

    async def _get(self, container: str, name: str) -> bytes | None:
        found = await self._download(container, name)
        return None if found is None else found.data

    async def _download(self, container: str, name: str) -> StoredBlob | None:
        answers: list[Any] = []
        async with request(f"container {container}", self._timeout):
            blob = self._client.get_blob_client(container, name)
            try:
                found = await blob.download_blob(raw_response_hook=answers.append)
                return StoredBlob(await found.readall(), found.properties.etag or "")
            except AzureError as error:
                if _is_missing(error):
                    return None
                raise
            finally:
                # The SDK leaves a cancelled download open, and with it one of the client's 100 connections.
                for answer in answers:
                    answer.http_response.internal_response.close()


def _verdict_name(configuration: str) -> str:
    return f"configurations/{configuration}.json"


def _is_missing(error: AzureError) -> bool:
    """Whether the service itself says that the blob, and nothing but the blob, is not there.

    Any other 404, for a missing container, a wrong address or by something in between, would make claim
    checks look expired, and what lies in them would be given up.
    """
    return isinstance(error, ResourceNotFoundError) and getattr(error, "error_code", None) == "BlobNotFound"
