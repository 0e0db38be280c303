"""Application properties to send with events: the same text with each, or a field of the event."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from everscore.event.pointer import Getter, compile_pointer
from everscore_cli.errors import CliError

type Value = str | int | float | bool
type PropertiesOf = Callable[[Any], dict[str, Value]]

# An AMQP property holds no larger integer: beyond that its digits are sent as a text.
_LONG = range(-(2**63), 2**63)
_HALF = re.compile("[\ud800-\udfff]")


def property_rule(given: Sequence[str], *, has_fields: bool = True) -> PropertiesOf | None:
    """A function from a payload to its application properties; None where none are to be sent.

    Args:
        given: texts such as ``NAME=VALUE``; a VALUE that begins with ``/`` is a JSON Pointer. A property is
            left out where the event has no text, number or boolean there.
        has_fields: whether the payloads are known.

    Raises:
        CliError: one of the texts is wrong. The function raises it for a field that cannot be sent.
    """
    constants: dict[str, Value] = {}
    getters: dict[str, Getter] = {}
    for text in given:
        name, _, value = text.partition("=")
        if not name or not value:
            raise CliError(f"--property {text} is none: give NAME=VALUE, or NAME=/pointer of a field.")
        if name in constants or name in getters:
            raise CliError(f"--property {name} is given twice.")
        if not value.startswith("/"):
            constants[name] = value
            continue
        if not has_fields:
            raise CliError(f"--property {text} reads a field, and --raw does not look into bodies.")
        try:
            getters[name] = compile_pointer(value)
        except ValueError as error:
            raise CliError(f"--property {name}: {error}.") from error
    if getters:
        return lambda payload: {**constants, **_fields(getters, payload)}
    return (lambda _: constants) if constants else None


def _fields(getters: dict[str, Getter], payload: object) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, get in getters.items():
        value = get(payload)
        if isinstance(value, int) and value not in _LONG:
            value = str(value)
        if isinstance(value, str) and not value.isascii() and _HALF.search(value):
            raise CliError(
                f"--property {name}: a text with half of a surrogate pair, which no property can carry."
            )
        if isinstance(value, str | int | float):
            found[name] = value
    return found
