"""What the queue and the blob adapter share: the SDK's options and its errors."""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from everscore.adapters.classification import classify_storage, quote
from everscore.adapters.transport import transport
from everscore.failures import Failure, Stage, Transient


def client_options(timeout: float) -> dict[str, Any]:
    """Keywords for every storage client: time-outs, and few retries.

    Args:
        timeout: seconds to wait for an answer.
    """
    return {
        "transport": transport(min(3.0, timeout), timeout),
        "retry_total": 2,
        "retry_connect": 1,
        "retry_read": 1,
        "retry_status": 2,
        # About 2 seconds of waits in all; the SDK's jitter alone is 3 seconds each. What comes next is ours.
        "initial_backoff": 0.5,
        "increment_base": 1,
        "random_jitter_range": 0.5,
    }


def failure_of(service: str, error: AzureError) -> Failure:
    """The failure that an exception of the SDK stands for.

    Args:
        service: what was used, for the sentence: ``queue NAME`` or ``container NAME``.
        error: of the SDK.
    """
    if isinstance(error, HttpResponseError) and error.status_code:
        code = getattr(error, "error_code", None)
        text = getattr(code, "value", code)
        return classify_storage(
            service, error.status_code, text, str(error.message or ""), _retry_after(error)
        )
    if isinstance(error, ClientAuthenticationError):
        return Transient(Stage.RETRY, "no token", quote(str(error)))
    detail = f"{service}: {type(error).__name__}: {quote(str(error))}"
    return Transient(Stage.RETRY, "storage not reached", detail)


def _retry_after(error: HttpResponseError) -> float | None:
    headers = getattr(error.response, "headers", None) or {}
    text = headers.get("Retry-After")
    return float(text) if text and text.isdigit() else None
