"""Which class of failure each answer of a service is."""

from __future__ import annotations

import pytest

from everscore.adapters.classification import (
    classify_cosmos,
    classify_cosmos_operation,
    classify_hub,
    classify_storage,
)
from everscore.failures import FailureClass, PartitionTransient, Stage

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
        (404, 1002, "The read session is not available", C.TRANSIENT, "store answers 404"),
        (404, 1013, "", C.TRANSIENT, "store answers 404"),
        (405, None, HTML_503, C.TRANSIENT, "store answers 405"),
        (407, None, HTML_503, C.TRANSIENT, "store answers 407"),
        (421, None, "", C.TRANSIENT, "store answers 421"),
        (425, None, "", C.TRANSIENT, "store answers 425"),
        (431, None, "", C.TRANSIENT, "store answers 431"),
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


def test_words_about_the_container_count_for_a_lone_document_alone() -> None:
    """What several documents are refused for together may be one's own: only a sub-status blames the container."""
    for message in ("The partition key supplied", "The Collection cannot be accessed"):
        assert classify_cosmos(400, None, message, shared=True).failure_class is C.PERMANENT
        assert classify_cosmos(400, 1001, message, shared=True).failure_class is C.CONFIGURATION
        assert classify_cosmos(400, None, message).failure_class is C.CONFIGURATION


def test_an_operations_404_is_a_conflict() -> None:
    """A batch whose operation finds no document reached its container: somebody deleted the document."""
    assert classify_cosmos_operation(404).failure_class is C.CONFLICT
    for status in (400, 403, 409, 412, 413, 429, 449, 500):
        assert type(classify_cosmos_operation(status)) is type(classify_cosmos(status))


def test_hole_23_only_a_store_that_names_its_container_as_missing_is_one_without_it() -> None:
    """A 404 of a replica that lags behind is of one partition alone; 1003 and no sub-status mean the container."""
    for sub_status in (1002, 1013, 1023):
        assert isinstance(classify_cosmos(404, sub_status), PartitionTransient)
    for sub_status in (None, 0, 1003):
        assert classify_cosmos(404, sub_status).failure_class is C.CONFIGURATION


FIREWALL = (
    "Request originated from IP 203.0.113.7 through public internet. This is blocked by your Cosmos DB account "
    "firewall settings. More info: https://aka.ms/cosmosdb-tsg-forbidden"
)


def test_hole_24_a_firewall_is_not_called_a_missing_role() -> None:
    """What the service says decides the hint, and its sentence stands behind; where it says nothing, both are named."""
    blocked = classify_cosmos(403, None, f'{{"code":"Forbidden","message":"{FIREWALL}"}}')
    assert blocked.failure_class is C.CONFIGURATION
    assert blocked.reason == "kept out by the network rules"
    assert "firewall settings" in blocked.detail
    assert "role" not in blocked.detail
    role = classify_cosmos(403, 5301, "the principal does not have required RBAC permissions")
    assert "Data Contributor" in role.detail
    assert "network" not in role.detail
    unsaid = classify_cosmos(403, None, "Forbidden").detail
    assert "Data Contributor" in unsaid
    assert "network" in unsaid


@pytest.mark.parametrize(
    ("code", "says", "does_not"),
    [
        ("AuthorizationFailure", "network rules", "role"),
        ("AuthorizationPermissionMismatch", "role", "network"),
        ("AuthenticationFailed", "key or signature", "role"),
        ("KeyBasedAuthenticationNotPermitted", "STORAGE__accountName", "role"),
        (None, "role", "network"),
    ],
)
def test_hole_24_storage_says_by_its_code_what_keeps_the_app_out(code, says, does_not) -> None:
    """Network rules, role, key: each code has its hint, and no hint names what the code does not mean."""
    failure = classify_storage(
        "queue q", 403, code, "This request is not authorized to perform this operation."
    )
    assert failure.failure_class is C.CONFIGURATION
    assert says in failure.detail
    assert does_not not in failure.detail
    assert "not authorized to perform" in failure.detail


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
        (404, "MessageNotFound", "", C.TRANSIENT),
        (408, None, "", C.TRANSIENT),
        (405, None, HTML_503, C.TRANSIENT),
        (421, None, "", C.TRANSIENT),
        (425, None, "", C.TRANSIENT),
        (431, None, "", C.TRANSIENT),
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


@pytest.mark.parametrize(
    ("condition", "status", "failure_class"),
    [
        ("not-found", None, C.CONFIGURATION),
        ("client-error", 404, C.CONFIGURATION),
        ("unauthorized-access", None, C.CONFIGURATION),
        ("client-error", 401, C.CONFIGURATION),
        ("client-error", 503, C.TRANSIENT),
        ("link:detach-forced", None, C.TRANSIENT),
        (None, None, C.TRANSIENT),
    ],
)
def test_refusals_of_the_hub(condition, status, failure_class) -> None:
    """What names a missing hub or right waits for an operator; all else passes, and is quoted."""
    failure = classify_hub(condition, status, "h: text")
    assert failure.failure_class is failure_class
    assert "h: text" in failure.detail
