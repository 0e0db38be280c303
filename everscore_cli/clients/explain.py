"""What the SDKs' errors mean for the person at the keyboard."""

from __future__ import annotations

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.eventhub.exceptions import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    EventHubError,
    OperationTimeoutError,
)

_START = "start the local stack with `everscore up`, or check the connection in local.settings.json"


def explain(error: BaseException) -> str | None:
    """One sentence about an SDK's error, or None: it is none that a user can do anything about."""
    if isinstance(error, EventHubError):
        return _event_hubs(error)
    if isinstance(error, AzureError):
        return _azure(error)
    return None


def _event_hubs(error: EventHubError) -> str:
    first = _first_line(error.message, error).rstrip(".")
    if isinstance(error, AuthenticationError):
        return f"Event Hubs refuses the key or the identity of EVENTHUB ({first})."
    if isinstance(error, ConnectError | ConnectionLostError | OperationTimeoutError):
        if "not-found" in first.lower() or "not found" in first.lower():
            return f"Event Hubs does not know what EVENTHUB_NAME says ({first})."
        return f"Event Hubs cannot be reached ({first}): {_START}."
    return f"Event Hubs refuses ({first})."


def _azure(error: AzureError) -> str:
    first = _first_line(error.message, error).rstrip(".")
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return f"A service cannot be reached ({first}): {_START}."
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if isinstance(error, ClientAuthenticationError) or status in (401, 403):
        return f"A service refuses the key or the identity ({first}): check the connections in your settings."
    if isinstance(error, ResourceNotFoundError) or status == 404:
        return f"Something that the settings name does not exist ({first}): `everscore provision` creates it."
    return f"A service refuses ({first})."


def _first_line(text: object, error: BaseException) -> str:
    lines = str(text or "").strip().splitlines()
    return lines[0] if lines else type(error).__name__
