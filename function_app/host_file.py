"""What host.json says, as far as the app's settings must agree with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from everscore.failures import SettingError

# The host takes any value of host.json from a setting of this prefix instead.
_OVERRIDE = "AzureFunctionsJobHost"
_TIMEOUT = ("functionTimeout",)
_FREQUENCY = ("extensions", "eventHubs", "batchCheckpointFrequency")
_ENDLESS = "-1"
# .NET writes days before a dot: 1.02:00:00.
_DAYS = re.compile(r"^(\d+)\.(?=\d+:)")
_timespan = TypeAdapter(timedelta)


def function_timeout(host_json: Path, environment: Mapping[str, str]) -> timedelta | None:
    """The time after which the host ends an invocation, and its worker with it.

    Returns:
        None where host.json sets none: then it depends on the plan, or there is none. None, too, where it is
        no strict JSON: the host takes comments in it, and what it makes of such a file is not guessed here.

    Raises:
        SettingError: it is no duration such as 00:10:00.
    """
    text = _value(_TIMEOUT, host_json, environment)
    if text is None or text == _ENDLESS:
        return None
    try:
        return _timespan.validate_python(_DAYS.sub(r"\1d,", str(text)))
    except ValidationError:
        raise SettingError(
            f"functionTimeout in host.json is {text!r}; expected hours, minutes and seconds: 00:10:00."
        ) from None


def _value(path: tuple[str, ...], host_json: Path, environment: Mapping[str, str]) -> Any:
    """A value of host.json, or of the setting in its place; None where neither says anything readable."""
    if text := environment.get("__".join((_OVERRIDE, *path))):
        return text
    try:
        found = json.loads(host_json.read_text("utf-8-sig"))
    except (ValueError, FileNotFoundError):  # of the JSON or of UTF-8; no host starts without the file
        return None
    for name in path:
        if not isinstance(found, dict):
            return None
        # The host reads names without regard to case.
        found = next((value for key, value in found.items() if key.casefold() == name.casefold()), None)
    return found


def check_checkpoint_frequency(host_json: Path, environment: Mapping[str, str]) -> None:
    """Whether the host writes a checkpoint after each batch; a file that is no strict JSON is passed over.

    Raises:
        SettingError: batchCheckpointFrequency is not 1.
    """
    frequency = _value(_FREQUENCY, host_json, environment)
    if frequency is not None and str(frequency) != "1":
        raise SettingError(
            f"batchCheckpointFrequency in host.json is {frequency}; expected 1: above it the host, whenever "
            "it stops, checkpoints the last batch even where that failed or was cancelled, and its events "
            "are lost."
        )


def check_time_budget(seconds: float, after: float, host_json: Path, environment: Mapping[str, str]) -> None:
    """Whether the app ends its invocations before the host does; nothing is compared where that is unknown.

    Args:
        seconds: TIME_BUDGET_SECONDS.
        after: STORAGE_TIMEOUT_SECONDS: what an invocation may take beyond its budget, since its status is
            written when all of its events have been accounted for.
        host_json: the host's file.
        environment: the variables of the process.

    Raises:
        SettingError: there is not so much time: the host would end the worker while that holds a batch, and
            count it as a crash.
    """
    timeout = function_timeout(host_json, environment)
    if timeout is not None and seconds + after > timeout.total_seconds():
        most = timeout.total_seconds() - after
        raise SettingError(
            f"TIME_BUDGET_SECONDS is {seconds:g}; expected at most {max(0.0, most):g}: functionTimeout in "
            f"host.json, which is {timeout.total_seconds():g} seconds, less STORAGE_TIMEOUT_SECONDS, which "
            f"is {after:g}, for what follows after an invocation's last event."
        )
