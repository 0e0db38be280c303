"""What the SDKs' errors mean for the person at the keyboard."""

from __future__ import annotations

from dataclasses import dataclass

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.eventhub.exceptions import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    EventHubError,
    OperationTimeoutError,
)

from everscore.adapters.credentials import is_without_token
from everscore_cli import environments

SIGN_IN = (
    "Azure gives no token to whoever is not signed in: type `az login` or `azd auth login`, and try again."
)


@dataclass(frozen=True, slots=True)
class _Advice:
    """What helps, on a laptop and with a deployment."""

    not_reached: str
    refused: str
    not_there: str


_LOCAL = _Advice(
    "start the local stack with `everscore up`, or check the connection in local.settings.json",
    "check the connections in your settings",
    "`everscore provision` creates it",
)
_AZURE = _Advice(
    "check that this machine is online and the deployment still there; a private network answers from inside "
    "of it alone",
    "an operator of the environment has the roles (docs/deploy.md), ten minutes after they were given, and "
    "in a private network from inside of it alone",
    "`azd provision` creates it",
)


def explain(error: BaseException) -> str | None:
    """One sentence about an SDK's error, or None: it is none that a user can do anything about."""
    if is_without_token(error):
        return SIGN_IN
    if isinstance(error, EventHubError):
        return _event_hubs(error)
    if isinstance(error, AzureError):
        return _azure(error)
    return None


def _advice() -> _Advice:
    return _AZURE if environments.chosen() else _LOCAL


def _event_hubs(error: EventHubError) -> str:
    first = _first_line(error.message, error).rstrip(".")
    if isinstance(error, AuthenticationError):
        return f"Event Hubs refuses the key or the identity of EVENTHUB ({first}): {_advice().refused}."
    if isinstance(error, ConnectError | ConnectionLostError | OperationTimeoutError):
        if "not-found" in first.lower() or "not found" in first.lower():
            return f"Event Hubs does not know what EVENTHUB_NAME says ({first})."
        return f"Event Hubs cannot be reached ({first}): {_advice().not_reached}."
    return f"Event Hubs refuses ({first})."


def _azure(error: AzureError) -> str:
    first = _first_line(error.message, error).rstrip(".")
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return f"A service cannot be reached ({first}): {_advice().not_reached}."
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if isinstance(error, ClientAuthenticationError) or status in (401, 403):
        return f"A service refuses the key or the identity ({first}): {_advice().refused}."
    if isinstance(error, ResourceNotFoundError) or status == 404:
        return f"Something that the settings name does not exist ({first}): {_advice().not_there}."
    service = "Cosmos DB" if isinstance(error, CosmosHttpResponseError) else "A service"
    return f"{service} refuses the request: {first}."


def _first_line(text: object, error: BaseException) -> str:
    lines = str(text or "").strip().splitlines()
    return lines[0] if lines else type(error).__name__
