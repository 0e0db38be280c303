"""The partition key of an event in the hub: of the same fields as its partition key in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from everscore.event.identity import encode
from everscore.event.pointer import compile_pointer
from everscore.event.stream import load_stream
from everscore.event.stream_manifest import Buckets
from everscore_cli.errors import CliError

type KeyOf = Callable[[Any], str | None]


def key_rule(app: Path, pointers: Sequence[str]) -> KeyOf:
    """A function from a payload to its partition key.

    Versions of one event must come to one partition to stay in order, so the fields are by default those that
    stream.json names. A payload that lacks one of them has no key, and the service chooses its partition.

    Args:
        app: the folder of the function app.
        pointers: JSON Pointers that stand in for those of stream.json.

    Raises:
        CliError: a pointer is none.
        ManifestError: stream.json is wrong.
    """
    if not pointers:
        rule = load_stream(app / "stream.json").manifest.partition_key
        pointers = [rule.of, rule.day] if isinstance(rule, Buckets) else rule
    try:
        getters = [compile_pointer(pointer) for pointer in pointers]
    except ValueError as error:
        raise CliError(f"--partition-key: {error}.") from error

    def key(payload: Any) -> str | None:
        values = [get(payload) for get in getters]
        if not all(isinstance(value, str | int | float) and value != "" for value in values):
            return None
        return "|".join(encode(value) for value in values if isinstance(value, str | int | float))

    return key
