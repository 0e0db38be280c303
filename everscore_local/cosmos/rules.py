"""What the service accepts as an item, an id and a partition key.

Limits: learn.microsoft.com/azure/cosmos-db/concepts-limits.
"""

import re
from functools import lru_cache
from typing import Any

import msgspec

from .errors import ServiceError

MAX_ITEM_BYTES = 2 * 1024 * 1024
MAX_REQUEST_BYTES = 2 * 1024 * 1024
MAX_RESPONSE_BYTES = 4 * 1024 * 1024
MAX_BATCH_OPERATIONS = 100
MAX_ID_BYTES = 1023
MAX_PARTITION_KEY_BYTES = 2048
MAX_NESTING = 128
MAX_TTL = 2**31 - 1
SAFE_INTEGER = 2**53

SYSTEM_PROPERTIES = ("_rid", "_self", "_etag", "_attachments", "_ts")

_FORBIDDEN_IN_ID = re.compile(r"[/\\?#]")
_LONG_NUMBER = re.compile(rb"[0-9]{16}")

Item = dict[str, Any]
UNDEFINED: dict[str, Any] = {}  # how the wire writes the partition key of an item that has none: [{}]


def decode_json(raw: bytes) -> Any:
    """Return the JSON value in a request body.

    Raises:
        ServiceError: 400 for what is no JSON (NaN, Infinity, broken UTF-8 …) or nested without end.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServiceError(
            400, f"The request payload is invalid. Ensure to provide a valid request payload. ({error})"
        ) from error


def has_long_number(raw: bytes) -> bool:
    """Tell whether a body can hold an integer that a double cannot."""
    return _LONG_NUMBER.search(raw) is not None


def round_integers(value: Any, depth: int = 1) -> Any:
    """Return a value with its integers rounded to what a double holds, as the service stores numbers.

    Raises:
        ServiceError: 400 for one beyond every double.
    """
    if depth > MAX_NESTING:
        return value  # refused later, by its depth
    if isinstance(value, dict):
        return {name: round_integers(part, depth + 1) for name, part in value.items()}
    if isinstance(value, list):
        return [round_integers(part, depth + 1) for part in value]
    if type(value) is int and abs(value) > SAFE_INTEGER:
        rounded = int(_double(value))
        return rounded if -(2**63) <= rounded < 2**64 else float(value)
    return value


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ServiceError(400, "The request payload is invalid: a number is out of range.") from None


def check_nesting(value: Any, depth: int = 1) -> None:
    """Refuse what is nested too deep.

    Raises:
        ServiceError: 400 beyond 128 levels.
    """
    if not isinstance(value, dict | list):
        return
    if depth > MAX_NESTING:
        raise ServiceError(400, f"The document is nested deeper than {MAX_NESTING} levels.")
    for part in value.values() if isinstance(value, dict) else value:
        check_nesting(part, depth + 1)


def check_id(item_id: Any) -> str:
    """Return the id.

    Raises:
        ServiceError: 400 for an id that the service refuses.
    """
    if not isinstance(item_id, str) or not item_id:
        raise ServiceError(
            400, "The input content is invalid because the required properties - 'id; ' - are missing."
        )
    if len(item_id) > MAX_ID_BYTES // 4 and len(item_id.encode()) > MAX_ID_BYTES:
        raise ServiceError(400, f"The input name is longer than {MAX_ID_BYTES} bytes.")
    if _FORBIDDEN_IN_ID.search(item_id):
        raise ServiceError(
            400, "The input name contains characters that are not allowed: '/', '\\', '?', '#'."
        )
    return item_id


def check_ttl(item: Item) -> None:
    """Refuse a time to live that is not -1 or 1…2147483647.

    Raises:
        ServiceError: 400; null and 0 are refused too.
    """
    if "ttl" not in item:
        return
    ttl = item["ttl"]
    if type(ttl) is not int or not (ttl == -1 or 1 <= ttl <= MAX_TTL):
        shown = msgspec.json.encode(ttl).decode()
        raise ServiceError(
            400,
            f"The input ttl '{shown}' is invalid. Ensure to provide a nonzero positive integer less than or"
            f" equal to '{MAX_TTL}', or '-1' to never expire.",
        )


def encode_item(item: Any) -> bytes:
    """Check an item's form and return its compact JSON, without system properties.

    Raises:
        ServiceError: 400 for a wrong form, 413 over 2 MB.
    """
    if not isinstance(item, dict):
        raise ServiceError(400, "The document must be a JSON object.")
    check_id(item.get("id"))
    check_ttl(item)
    for name in SYSTEM_PROPERTIES:
        if name in item:
            item = {key: value for key, value in item.items() if key not in SYSTEM_PROPERTIES}
            break
    encoded = msgspec.json.encode(item)
    if encoded.count(b"{") + encoded.count(b"[") > MAX_NESTING:
        check_nesting(item)
    if len(encoded) > MAX_ITEM_BYTES:
        raise ServiceError(413, "Request size is too large.")
    return encoded


def _check_key_part(part: Any) -> Any:
    if isinstance(part, str):
        if len(part) > MAX_PARTITION_KEY_BYTES // 4 and len(part.encode()) > MAX_PARTITION_KEY_BYTES:
            raise ServiceError(400, f"The partition key is longer than {MAX_PARTITION_KEY_BYTES} bytes.")
        return part
    if part is None or isinstance(part, bool) or part == UNDEFINED:
        return part
    if isinstance(part, int | float):
        number = _double(part)
        return int(number) if number.is_integer() and abs(number) < 2**63 else number
    raise ServiceError(400, "The partition key is neither a text, a number, a boolean, null nor undefined.")


def key_text(parts: list[Any]) -> str:
    """Return the canonical text of a partition key: the JSON list of its parts."""
    return msgspec.json.encode([_check_key_part(part) for part in parts]).decode()


@lru_cache(maxsize=65536)
def read_key_header(header: str, paths: int) -> str:
    """Return the canonical text of the partition key in ``x-ms-documentdb-partitionkey``.

    Raises:
        ServiceError: 400 for what is no JSON list of the right length.
    """
    try:
        parts = msgspec.json.decode(header)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ServiceError(400, f"Partition key {header[:200]!a} is invalid.") from error
    if isinstance(parts, list) and not parts:
        parts = [UNDEFINED] * paths
    if not isinstance(parts, list) or len(parts) != paths:
        raise ServiceError(
            400,
            "Partition key provided either doesn't correspond to definition in the collection or doesn't"
            " match partition key field values specified in the document.",
            substatus=1001,
        )
    return key_text(parts)


def key_of_item(item: Item, paths: tuple[tuple[str, ...], ...]) -> str:
    """Return the canonical text of the partition key that an item itself holds."""
    parts: list[Any] = []
    for path in paths:
        value: Any = item
        for name in path:
            value = value.get(name, UNDEFINED) if isinstance(value, dict) else UNDEFINED
        parts.append(value)
    return key_text(parts)


def plain_key(key: str) -> str:
    """Return a key for people: the bare text where it is one text, else the JSON list."""
    parts = msgspec.json.decode(key)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else key
