"""Between the plain data on the socket and the messages that the worker library reads and makes."""

from types import SimpleNamespace
from typing import Any

from . import protos

_COLLECTIONS = {
    "collection_bytes": "bytes",
    "collection_string": "string",
    "collection_sint64": "sint64",
}


def typed(kind: str | None, value: Any) -> protos.TypedData:
    """Return the TypedData of a kind and a plain value; kind None is the empty TypedData."""
    if kind is None:
        return protos.TypedData()
    if field := _COLLECTIONS.get(kind):
        return protos.TypedData(**{kind: SimpleNamespace(**{field: value})})
    if kind == "http":
        body = value["body"]
        request = SimpleNamespace(**value)
        # An empty body is still a TypedData object, one without a kind.
        request.body = protos.TypedData(bytes=body) if body else protos.TypedData()
        return protos.TypedData(http=request)
    return protos.TypedData(**{kind: value})


def plain(data: Any) -> tuple[str, Any] | None:
    """Return (kind, value) of a TypedData that the library made, or None where there is none."""
    if data is None or data.kind is None:
        return None
    if data.kind == "http":
        return "http", _http(data.value)
    return data.kind, data.value


def function_of(metadata: Any) -> dict[str, Any]:
    """Return a function as the host needs it: id, name, raw bindings (JSON texts), retry options."""
    retry = metadata.retry_options
    return {
        "id": metadata.function_id,
        "name": metadata.name,
        "bindings": [str(binding) for binding in metadata.raw_bindings],
        "retry": None
        if retry is None
        else {
            "strategy": str(retry.retry_strategy),
            "max_retry_count": int(retry.max_retry_count),
            "delay": protos.seconds_of(retry.delay_interval),
            "minimum": protos.seconds_of(retry.minimum_interval),
            "maximum": protos.seconds_of(retry.maximum_interval),
        },
    }


def _http(response: Any) -> dict[str, Any]:
    return {
        "status": str(response.status_code),
        "headers": {str(name): str(value) for name, value in (response.headers or {}).items()},
        "cookies": [_cookie(cookie) for cookie in response.cookies or []],
        "body": plain(response.body),
    }


def _cookie(cookie: Any) -> dict[str, Any]:
    def value_of(name: str) -> Any:
        field = getattr(cookie, name)
        return getattr(field, "value", None)

    expires = value_of("expires")
    return {
        "name": cookie.name,
        "value": cookie.value,
        "domain": value_of("domain"),
        "path": value_of("path"),
        "expires": getattr(expires, "seconds", expires),
        "secure": value_of("secure"),
        "http_only": value_of("http_only"),
        "same_site": {1: "Lax", 2: "Strict", 3: "None"}.get(cookie.same_site),
        "max_age": value_of("max_age"),
    }
