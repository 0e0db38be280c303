"""Which class of failure an answer of a service is: one table for each service, without any SDK.

Sources: learn.microsoft.com/azure/cosmos-db/nosql/conceptual-resilient-sdk-applications and
/rest/api/cosmos-db/http-status-codes-for-cosmosdb; /rest/api/storageservices/common-rest-api-error-codes.
"""

from __future__ import annotations

from everscore.failures import (
    Configuration,
    Conflict,
    Failure,
    PartitionTransient,
    Permanent,
    Stage,
    Throttled,
    Transient,
    Unexpected,
)
from everscore.quoting import quote

# Sub-statuses of 403 that say "ask again elsewhere or later", not "you may not".
_FORBIDDEN_TRANSIENT = {3: "write region moving", 1008: "region unavailable"}
_PARTITION_FULL = 1014
_KEY_MISMATCH = 1001
# Sub-statuses of 404 that say that database or container is missing; 1002 is a replica behind its session.
_MISSING = (None, 0, 1003)
# Answers that are none to a document or a batch but to its way, given by what stands between.
_ON_THE_WAY = (405, 407, 408, 421, 425, 431)
# How Cosmos DB speaks of its firewall, private endpoints and virtual networks in a 403.
_NETWORK = ("firewall", "public internet", "private endpoint", "virtual network", "service endpoint")
_ROLE = "the identity needs the role Cosmos DB Built-in Data Contributor on this database"
_STORAGE_ROLE = "the identity needs the data role of that service"
# By x-ms-error-code of 401 and 403; the sentence of "AuthorizationFailure" never names the network rules.
_STORAGE_HINTS = {
    "AuthorizationFailure": "the account's network rules keep the app out, or its signature is for less",
    "AuthorizationSourceIPMismatch": "the shared access signature is for other addresses",
    "AuthorizationPermissionMismatch": _STORAGE_ROLE,
    "InsufficientAccountPermissions": _STORAGE_ROLE,
    "AuthenticationFailed": "the key or signature in the connection string is wrong, or a clock is",
    "KeyBasedAuthenticationNotPermitted": "the account takes no keys: set STORAGE__accountName, not STORAGE",
}


def classify_cosmos(
    status: int,
    sub_status: int | None = None,
    message: str = "",
    retry_after: float | None = None,
    *,
    shared: bool = False,
) -> Failure:
    """The failure that an HTTP status of Cosmos DB stands for.

    Args:
        status: of the response, or of one operation of a batch.
        sub_status: x-ms-substatus, or None.
        message: of the service; JSON or not, it is quoted. Only what a lone document, or none, is refused for
            is also looked at for what it speaks of.
        retry_after: seconds that the service asked to wait.
        shared: several documents were refused together, and one of them may be guilty of what is said.
    """
    detail = quote(message)
    code = f"Cosmos DB {status}" + (f"/{sub_status}" if sub_status else "")
    if status == 429:
        return Throttled(Stage.STORE, "throttled", detail, retry_after=retry_after)
    if status == 409:
        return Conflict(Stage.STORE, "already there", detail)
    if status == 412:
        return Conflict(Stage.STORE, "changed meanwhile", detail)
    if status == 413:
        return Permanent(Stage.STORE, "document too large", f"{code}: {detail}")
    if status == 400:
        # The sub-status is a statement about the container; words may be about one document of a batch.
        if is_key_mismatch(status, sub_status) or (not shared and _speaks_of_container(message)):
            return Configuration(
                Stage.STORE,
                "partition key path differs",
                f"the container's partition key must be /pk ({code}): {detail}",
            )
        return Permanent(Stage.STORE, "refused by the store", f"{code}: {detail}")
    if status == 401:
        hint = "check the key in COSMOS; where key access is off, set COSMOS__accountEndpoint instead"
        return Configuration(Stage.STORE, "not authenticated", f"{hint} ({code}): {detail}")
    if status == 403:
        return _forbidden(sub_status, code, message, retry_after)
    if status == 404 and sub_status in _MISSING:
        hint = "check COSMOS_DATABASE and COSMOS_CONTAINER; the deployment creates both, the app never does"
        return Configuration(Stage.STORE, "database or container missing", f"{hint} ({code}): {detail}")
    if 100 <= status < 400:
        return unreadable_answer(f"{code}: {detail}")
    if status in (404, 410, 449):
        return PartitionTransient(
            Stage.STORE, f"store answers {status}", f"{code}: {detail}", retry_after=retry_after
        )
    if status in _ON_THE_WAY or status >= 500:
        return Transient(Stage.STORE, f"store answers {status}", f"{code}: {detail}", retry_after=retry_after)
    return Unexpected(Stage.STORE, f"store answers {status}", f"{code}: {detail}")


def is_key_mismatch(status: int | None, sub_status: int | None) -> bool:
    """Whether Cosmos DB says that the container's partition key is another one than that of the request.

    Every document holds the key that its request names, so that the container is at fault and no document.
    """
    return status == 400 and sub_status == _KEY_MISMATCH


def unreadable_answer(detail: str) -> Transient:
    """The failure that a success stands for whose body is none of Cosmos DB's: the outcome is unknown.

    Something between is speaking, such as a proxy's page for maintenance: no event is guilty of that.
    """
    hint = "something other than Cosmos DB seems to answer at that address"
    return Transient(Stage.STORE, "answer not readable", f"{hint}: {detail}")


def classify_cosmos_operation(
    status: int, sub_status: int | None = None, message: str = "", retry_after: float | None = None
) -> Failure:
    """The failure that the status of one operation of a batch stands for; arguments as above."""
    if status == 404:  # the batch reached the container, so it is the document that somebody deleted
        return Conflict(Stage.STORE, "gone meanwhile", quote(message))
    return classify_cosmos(status, sub_status, message, retry_after)


def _forbidden(sub_status: int | None, code: str, message: str, retry_after: float | None) -> Failure:
    detail = quote(message)
    if sub_status == _PARTITION_FULL:
        return Permanent(
            Stage.STORE,
            "logical partition full",
            f"this pk reached 20 GB; choose a finer partitionKey ({code}): {detail}",
        )
    if sub_status in _FORBIDDEN_TRANSIENT:
        return Transient(
            Stage.STORE, _FORBIDDEN_TRANSIENT[sub_status], f"{code}: {detail}", retry_after=retry_after
        )
    if any(word in message.lower() for word in _NETWORK):
        hint = "the account's network rules keep the app out: let its network in, or give it a way in"
        return Configuration(Stage.STORE, "kept out by the network rules", f"{hint} ({code}): {detail}")
    hint = _ROLE if sub_status else f"{_ROLE}, or the account's network rules keep the app out"
    return Configuration(Stage.STORE, "not authorised", f"{hint} ({code}): {detail}")


def _speaks_of_container(message: str) -> bool:
    lowered = message.lower()
    return "partition key" in lowered or "partitionkey" in lowered or "collection" in lowered


def classify_storage(
    service: str, status: int | None, code: str | None, message: str = "", retry_after: float | None = None
) -> Failure:
    """The failure that an answer of Azure Storage stands for.

    Args:
        service: what was used, for the sentence: ``queue NAME`` or ``container NAME``.
        status: HTTP status, or None where there was no response.
        code: x-ms-error-code, or None.
        message: of the service.
        retry_after: seconds that the service asked to wait.
    """
    detail = quote(message)
    what = f"{service} answers {status}" + (f" {code}" if code else "")
    if status == 400 and code == "InvalidHeaderValue" and "version" in message.lower():
        hint = "the storage emulator is older than the SDK; start Azurite with --skipApiVersionCheck"
        return Configuration(Stage.RETRY, "storage API version refused", f"{hint} ({what})")
    if status in (401, 403):
        hint = _STORAGE_HINTS.get(code or "", f"{_STORAGE_ROLE}, or the key is wrong")
        return Configuration(Stage.RETRY, "storage refuses access", f"{hint} ({what}): {detail}")
    if status == 404 and code == "MessageNotFound":
        hint = "its lease ran out, and somebody else has it or has finished it"
        return Transient(Stage.RETRY, "message of the queue gone", f"{hint} ({what}): {detail}")
    if status == 404:
        hint = "the deployment creates it, the app never does; check the setting that names it"
        return Configuration(Stage.RETRY, "queue or container missing", f"{hint} ({what}): {detail}")
    if status in (429, 503):
        return Throttled(Stage.RETRY, "storage throttles", f"{what}: {detail}", retry_after=retry_after)
    # Below 400: an answer whose body is none of the service's, as of a proxy's page for maintenance.
    if status in (409, 412, *_ON_THE_WAY) or (status is not None and (status >= 500 or 100 <= status < 400)):
        return Transient(
            Stage.RETRY, f"storage answers {status}", f"{what}: {detail}", retry_after=retry_after
        )
    return Unexpected(Stage.RETRY, f"storage answers {status}", f"{what}: {detail}")


def classify_hub(condition: str | None, status: int | None, detail: str) -> Failure:
    """The failure that a refusal of Event Hubs stands for.

    Args:
        condition: of AMQP, without its domain, or None.
        status: of the answer to a token or a question, or None.
        detail: what was asked and what was answered, for the sentence.
    """
    if condition == "not-found" or status == 404:
        hint = "check EVENTHUB_NAME and the namespace in EVENTHUB; the deployment creates the hub"
        return Configuration(Stage.RETRY, "hub missing", f"{hint}: {detail}")
    if condition == "unauthorized-access" or status in (401, 403):
        hint = "the identity needs the role Azure Event Hubs Data Receiver, or the key in EVENTHUB is wrong"
        return Configuration(Stage.RETRY, "hub refuses access", f"{hint}: {detail}")
    return Transient(Stage.RETRY, "hub not read", detail)
