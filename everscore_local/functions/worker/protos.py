"""Stand-ins for the gRPC messages that azure_functions_runtime makes and reads.

The library imports no protobuf: it takes its message classes from ``request.properties["protos"]`` and asks
of them constructor keywords, attributes and ``WhichOneof``. Enum values are those of FunctionRpc.proto.
"""

from types import SimpleNamespace
from typing import Any


class _Record:
    """A message that keeps whatever keywords it is made with; a field never set reads as None."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class TypedData:
    """One value of a kind: string, bytes, json, http, int, double or a collection."""

    __slots__ = ("kind", "value")

    def __init__(self, **value: Any) -> None:
        self.kind: str | None = None
        self.value: Any = None
        for self.kind, self.value in value.items():
            pass

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's own name
        """Return the kind that is set, or None."""
        return self.kind

    def __getattr__(self, name: str) -> Any:
        # Only the kind that is set may be read; above all ``TypedData`` must be missing, since the library
        # tells a wrapped value from a bare one by it.
        if name == self.kind:
            return self.value
        raise AttributeError(name)


class InputBinding:
    """A named input of an invocation."""

    __slots__ = ("data", "name")

    def __init__(self, name: str, data: TypedData) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's own name
        """Return ``data``: shared memory is never used."""
        return "data"


class StatusResult(_Record):
    """Outcome of a request."""

    Failure = 0
    Success = 1
    Cancelled = 2


class BindingInfo(_Record):
    """Direction and data type of a binding."""

    undefined = 0
    out = 1
    inout = 2


class WorkerInitResponse(_Record):
    """Answer to the init request."""


class WorkerMetadata(_Record):
    """Versions of the worker."""


class RpcException(_Record):
    """An exception: message ``Type: text`` and stack trace."""


class FunctionMetadataResponse(_Record):
    """The functions of the app."""


class RpcFunctionMetadata(_Record):
    """One function: bindings, retry options."""


class RpcRetryOptions(_Record):
    """Retry policy; intervals are timedelta or protobuf Duration, see ``seconds_of``."""


class FunctionLoadResponse(_Record):
    """Answer to a load request."""


class FunctionEnvironmentReloadResponse(_Record):
    """Answer to a reload request (never sent locally)."""


class InvocationResponse(_Record):
    """Result of an invocation."""


class ParameterBinding(_Record):
    """One output of an invocation."""


class RpcHttp(_Record):
    """An HTTP response."""


class RpcHttpCookie(_Record):
    """A cookie of an HTTP response."""

    # One member is called None, which no class body can spell.
    SameSite = SimpleNamespace(Lax=1, Strict=2, ExplicitNone=3, **{"None": 0})


class NullableString(_Record):
    """A text that may be missing."""


class NullableBool(_Record):
    """A boolean that may be missing."""


class NullableDouble(_Record):
    """A number that may be missing."""


class NullableTimestamp(_Record):
    """A time that may be missing."""


class Timestamp(_Record):
    """Seconds since the epoch."""


def seconds_of(interval: Any) -> float | None:
    """Return an interval in seconds, from a timedelta or from google.protobuf's own Duration.

    Releases of the worker library differ in which of the two they build retry options with
    (Azure/azure-functions-python-worker#1823).
    """
    if interval is None:
        return None
    if hasattr(interval, "total_seconds"):
        return float(interval.total_seconds())
    return float(interval.seconds) + float(interval.nanos) / 1e9
