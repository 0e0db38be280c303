"""What the adapters of Azure Storage share: the SDK's options, one bound for a request, and its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from xml.etree.ElementTree import ParseError

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from everscore.adapters.bounds import bounded
from everscore.adapters.classification import classify_storage
from everscore.adapters.transport import Answers, noting_answers, transport
from everscore.failures import Failure, Stage, Transient, unexpected
from everscore.quoting import quote

# What the SDK meets in an answer that is none of the service's, such as a proxy's page for maintenance.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError, ParseError)


def client_options(timeout: float) -> dict[str, Any]:
    """Keywords for every storage client: time-outs, and few retries.

    Args:
        timeout: seconds for a request, its tries together.
    """
    return {
        # A try may take half of it: where a connection has died unnoticed the next one needs the other half.
        "transport": transport(min(3.0, timeout / 2), timeout / 2),
        "retry_total": 2,
        "retry_connect": 1,
        "retry_read": 1,
        "retry_status": 2,
        # About 2 seconds of waits in all; the SDK's jitter alone is 3 seconds each. What comes next is ours.
        "initial_backoff": 0.5,
        "increment_base": 1,
        "random_jitter_range": 0.5,
    }


@asynccontextmanager
async def request(service: str, seconds: float) -> AsyncIterator[None]:
    """The block asks a service of the storage account, within one bound.

    Args:
        service: what is used, for the sentence: ``queue NAME`` or ``container NAME``.
        seconds: for all of it.

    Raises:
        Failure: that the exception of the SDK stands for, or that there was no answer in time. What kept the
            SDK from asking at all is ours, and unexpected: the service has nothing to do with it.
    """
    async with bounded(Stage.RETRY, "storage", service, seconds):
        with noting_answers() as answers, _translated(service, answers):
            yield


@contextmanager
def _translated(service: str, answers: Answers) -> Iterator[None]:
    try:
        yield
    except (AzureError, OSError) as error:  # the system's own, which the SDK lets through, is no event's
        raise failure_of(service, error) from error
    except _MALFORMED as error:
        if not answers.came:
            raise unexpected(Stage.RETRY, error) from error
        detail = f"{service}: {type(error).__name__}: {quote(str(error))}"
        raise Transient(Stage.RETRY, "storage answer not readable", detail) from error


def failure_of(service: str, error: Exception) -> Failure:
    """The failure that an exception of the SDK stands for.

    Args:
        service: what was used, for the sentence: ``queue NAME`` or ``container NAME``.
        error: of the SDK, or of the system below it.
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
    return float(text) if text and text.isdecimal() else None
