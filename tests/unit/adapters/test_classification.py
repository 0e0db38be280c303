"""Which class of failure each answer of a service is."""

from __future__ import annotations

import pytest

from everscore.adapters.classification import (
    classify_cosmos,
    classify_cosmos_operation,
    classify_storage,
    quote,
)
from everscore.failures import FailureClass, Stage

C = FailureClass

JSON_429 = '{"code":"TooManyRequests","message":"Request rate is large"}'
HTML_503 = "<html>\n<head><title>503</title></head>\r\n<body>Service   Unavailable</body></html>"


@pytest.mark.parametrize(
    ("status", "sub_status", "message", "failure_class", "reason"),
    [
        (429, 3200, JSON_429, C.THROTTLED, "throttled"),
        (429, None, "", C.THROTTLED, "throttled"),
        (409, None, '{"code":"Conflict"}', C.CONFLICT, "already there"),
        (412, None, "", C.CONFLICT, "changed meanwhile"),
        (413, None, "Request size is too large", C.PERMANENT, "document too large"),
        (400, None, '{"code":"BadRequest","message":"The input content is invalid"}', C.PERMANENT, "refused"),
        (400, None, "", C.PERMANENT, "refused by the store"),
        (400, 1001, "PartitionKey extracted from document doesn't match", C.CONFIGURATION, "key path"),
        (400, None, "The partition key supplied does not correspond", C.CONFIGURATION, "key path"),
        (400, None, "The Collection cannot be accessed", C.CONFIGURATION, "key path"),
        (
            401,
            None,
            "The input authorization token can't serve the request",
            C.CONFIGURATION,
            "not authenticated",
        ),
        (401, None, HTML_503, C.CONFIGURATION, "not authenticated"),
        (403, 5301, "Request blocked by Auth", C.CONFIGURATION, "not authorised"),
        (403, None, "", C.CONFIGURATION, "not authorised"),
        (403, 3, "", C.TRANSIENT, "write region moving"),
        (403, 1008, "", C.TRANSIENT, "region unavailable"),
        (403, 1014, "Partition key reached maximum size of 20 GB", C.PERMANENT, "logical partition full"),
        (404, None, "Resource Not Found", C.CONFIGURATION, "database or container missing"),
        (404, 1003, "Owner resource does not exist", C.CONFIGURATION, "database or container missing"),
        (408, None, "", C.TRANSIENT, "store answers 408"),
        (410, 1002, "", C.TRANSIENT, "store answers 410"),
        (449, None, "", C.TRANSIENT, "store answers 449"),
        (500, None, HTML_503, C.TRANSIENT, "store answers 500"),
        (502, None, "\x00\xff not JSON", C.TRANSIENT, "store answers 502"),
        (503, None, HTML_503, C.TRANSIENT, "store answers 503"),
        (599, None, "", C.TRANSIENT, "store answers 599"),
        (200, None, "Failed to decode JSON data", C.TRANSIENT, "answer not readable"),
        (302, None, HTML_503, C.TRANSIENT, "answer not readable"),
        (418, None, "", C.UNEXPECTED, "store answers 418"),
        (424, None, "", C.UNEXPECTED, "store answers 424"),
        (0, None, "", C.UNEXPECTED, "store answers 0"),
    ],
)
def test_cosmos_answers(status, sub_status, message, failure_class, reason) -> None:
    """Every status has one class, whatever its body is; the detail is one line and quotes it."""
    failure = classify_cosmos(status, sub_status, message, retry_after=7.0)
    assert failure.failure_class is failure_class
    assert reason in failure.reason
    assert failure.stage is Stage.STORE
    assert "\n" not in failure.detail
    if failure_class is C.THROTTLED:
        assert failure.retry_after == 7.0


def test_an_operations_404_is_a_conflict() -> None:
    """A batch whose operation finds no document reached its container: somebody deleted the document."""
    assert classify_cosmos_operation(404).failure_class is C.CONFLICT
    for status in (400, 403, 409, 412, 413, 429, 449, 500):
        assert type(classify_cosmos_operation(status)) is type(classify_cosmos(status))


@pytest.mark.parametrize(
    ("status", "word"),
    [(401, "COSMOS__accountEndpoint"), (403, "Data Contributor"), (404, "COSMOS_CONTAINER")],
)
def test_what_an_operator_can_mend_says_how(status, word) -> None:
    """A configuration failure names the setting or the role."""
    assert word in classify_cosmos(status).detail


@pytest.mark.parametrize(
    ("status", "code", "message", "failure_class"),
    [
        (200, None, "Error in deserialization", C.TRANSIENT),
        (302, None, HTML_503, C.TRANSIENT),
        (400, "InvalidHeaderValue", "The API version 2026 is not supported: x-ms-version", C.CONFIGURATION),
        (400, "InvalidHeaderValue", "The value for x-ms-meta is wrong", C.UNEXPECTED),
        (400, "OutOfRangeInput", HTML_503, C.UNEXPECTED),
        (401, None, "", C.CONFIGURATION),
        (403, "AuthorizationPermissionMismatch", "", C.CONFIGURATION),
        (404, "QueueNotFound", "", C.CONFIGURATION),
        (404, "ContainerNotFound", "", C.CONFIGURATION),
        (408, None, "", C.TRANSIENT),
        (409, "ContainerBeingDeleted", "", C.TRANSIENT),
        (412, "LeaseIdMissing", "", C.TRANSIENT),
        (413, "RequestBodyTooLarge", "", C.UNEXPECTED),
        (429, None, "", C.THROTTLED),
        (500, "InternalError", HTML_503, C.TRANSIENT),
        (503, "ServerBusy", "", C.THROTTLED),
        (None, None, "", C.UNEXPECTED),
    ],
)
def test_storage_answers(status, code, message, failure_class) -> None:
    """Every answer of queue and blobs has one class, and the sentence says which of them answered."""
    failure = classify_storage("queue events-retry", status, code, message, 3.0)
    assert failure.failure_class is failure_class
    assert "queue events-retry" in failure.detail
    assert "\n" not in failure.detail


def test_quotes_are_short_and_on_one_line() -> None:
    """However long a body is, what is quoted of it fits a log line."""
    assert quote("a\r\n\t b") == "a b"
    assert len(quote("x" * 10_000)) == 300
    assert quote("x" * 301).endswith("…")
