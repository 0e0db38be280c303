"""Errors as the service words them."""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

# The codes in error bodies; source: the REST reference "HTTP status codes for Azure Cosmos DB".
CODES: Mapping[int, str] = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    429: "429",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}

MESSAGES: Mapping[int, str] = {
    400: "One of the input values is invalid.",
    401: "The input authorization token can't serve the request.",
    # Without a sub-status it is the firewall that forbids.
    403: "Request originated from IP 203.0.113.7 through public internet. This is blocked by your Cosmos DB"
    " account firewall settings. More info: https://aka.ms/cosmosdb-tsg-forbidden",
    404: "Entity with the specified id does not exist in the system.",
    408: "The operation did not complete within the allotted time.",
    409: "Entity with the specified id already exists in the system.",
    410: "The requested resource is no longer available at the server.",
    412: "One of the specified pre-condition is not met.",
    413: "Request size is too large.",
    429: "Request rate is large. More Request Units may be needed, so no changes were made. Please retry this"
    " request later.",
    449: "The operation encountered a transient error. It is safe to retry the operation.",
    503: "Service is currently unavailable, please retry after a while.",
}

# What it says where a sub-status tells the kind; from its guides to troubleshooting and its SDKs' issues.
MESSAGES_BY_SUBSTATUS: Mapping[tuple[int, int], str] = {
    (403, 3): "The requested operation cannot be performed at this region.",
    (403, 1014): "Partition key reached maximum size of 20 GB.",
    (403, 5300): "The given request cannot be authorized by AAD token in data plane.",
    (403, 5301): (
        "Request blocked by Auth everscore-local: the principal does not have required RBAC permissions to"
        " perform this action on any scope. Learn more: https://aka.ms/cosmos-native-rbac."
    ),
    (404, 1002): "The read session is not available for the input session token.",
    (404, 1003): "Owner resource does not exist",
}


def message_of(status: int, substatus: int) -> str:
    """Return the sentence of the service for an HTTP status and a sub-status."""
    by_status = MESSAGES.get(status, f"The service answered {status}.")
    return MESSAGES_BY_SUBSTATUS.get((status, substatus), by_status)


def code_of(status: int) -> str:
    """Return the text that the service puts into ``code`` for an HTTP status."""
    if status in CODES:
        return CODES[status]
    try:
        return HTTPStatus(status).phrase.replace(" ", "")
    except ValueError:
        return str(status)


class ServiceError(Exception):
    """A refusal by the service.

    Attributes:
        status: HTTP status, or status of the operation within a batch.
        message: What the body says.
        substatus: ``x-ms-substatus``; 0 is left out.
        code: ``code`` of the body.
        retry_after_ms: ``x-ms-retry-after-ms``, or None.
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        substatus: int = 0,
        code: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        self.status = status
        self.message = message_of(status, substatus) if message is None else message
        self.substatus = substatus
        self.code = code_of(status) if code is None else code
        self.retry_after_ms = retry_after_ms
        super().__init__(f"{status}: {self.message}")

    def body(self) -> bytes:
        """Return the JSON body."""
        return msgspec.json.encode({"code": self.code, "message": self.message})

    def headers(self) -> dict[str, str]:
        """Return the headers that go with the body."""
        headers: dict[str, str] = {}
        if self.substatus:
            headers["x-ms-substatus"] = str(self.substatus)
        if self.retry_after_ms is not None:
            headers["x-ms-retry-after-ms"] = str(self.retry_after_ms)
        return headers


class UserError(Exception):
    """A mistake of whoever started the stand-in; the text is one sentence and says what to do."""
