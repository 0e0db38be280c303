"""The functions of an app: what the worker reports, checked and with its settings resolved."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .app_settings import AppSettings
from .errors import ConfigurationError
from .retry import RetryPolicy

TRIGGERS = ("eventHubTrigger", "queueTrigger", "timerTrigger", "httpTrigger")


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding; ``settings`` holds its properties as the worker names them, with ``%NAME%`` resolved."""

    type: str
    name: str
    direction: str
    settings: dict[str, Any]

    def text(self, key: str, default: str = "") -> str:
        """Return a property as text; missing and null read as the default."""
        value = self.settings.get(key)
        return default if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app."""

    id: str
    name: str
    trigger: Binding
    outputs: tuple[Binding, ...]
    retry: RetryPolicy | None
    disabled: bool = False
    bindings: tuple[dict[str, Any], ...] = field(default=())

    @property
    def described(self) -> str:
        """Return one line for people: what triggers it."""
        trigger = self.trigger
        match trigger.type:
            case "eventHubTrigger":
                group = trigger.text("consumerGroup", "$Default")
                return f"event hub {trigger.text('eventHubName')}, group {group}"
            case "queueTrigger":
                return f"queue {trigger.text('queueName')}"
            case "timerTrigger":
                return f"timer {trigger.text('schedule')}"
            case _:
                methods = ",".join(trigger.settings.get("methods") or ["any"])
                return f"http {methods} {trigger.text('route', self.name)}"


def read_functions(reported: Iterable[dict[str, Any]], settings: AppSettings) -> list[Function]:
    """Return the functions that the worker has found, in its order.

    Raises:
        ConfigurationError: a setting is missing, or a binding is of a kind that this host does not have.
    """
    return [_function(entry, settings) for entry in reported]


def _function(entry: dict[str, Any], settings: AppSettings) -> Function:
    name = entry["name"]
    raw = [json.loads(text) for text in entry["bindings"]]
    disabled = settings.is_disabled(name)
    triggers: list[Binding] = []
    outputs: list[Binding] = []
    for binding in raw:
        kind = str(binding.get("type"))
        used_by = f"the {kind} of function {name}"
        # A disabled function is never bound, so that its settings may be missing.
        resolved = {
            key: settings.resolve(value, used_by) if isinstance(value, str) and not disabled else value
            for key, value in binding.items()
        }
        made = Binding(kind, str(binding["name"]), str(binding.get("direction", "IN")).upper(), resolved)
        if kind in TRIGGERS:
            triggers.append(made)
        elif made.direction == "OUT" and kind in ("http", "queue", "eventHub"):
            outputs.append(made)
        else:
            raise ConfigurationError(
                f"Function {name} has a {kind} binding, which this local host does not have "
                f"(triggers: {', '.join(TRIGGERS)}; outputs: http, queue, eventHub)."
            )
    if len(triggers) != 1:
        raise ConfigurationError(f"Function {name} has {len(triggers)} triggers, expected one.")
    try:
        retry = RetryPolicy.from_worker(entry["retry"]) if entry["retry"] else None
    except ValueError as error:
        raise ConfigurationError(f"The retry policy of function {name} {error}.") from error
    return Function(entry["id"], name, triggers[0], tuple(outputs), retry, disabled, tuple(raw))
