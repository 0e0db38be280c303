"""The hook for bodies that are no JSON: the function that the setting DECODER names, called once a batch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from everscore.clock.deadline import Deadline
from everscore.failures import (
    Failure,
    Overdue,
    Permanent,
    Retryable,
    SettingError,
    Stage,
    describe,
    unexpected,
)
from everscore.quoting import quote

type Hook = Callable[[list[bytes]], Sequence[object]]


def load_hook(setting: str) -> Hook:
    """Import the own decoder that the setting DECODER names.

    Raises:
        SettingError: there is no such module or function.
    """
    module_name, _, name = setting.partition(":")
    try:
        hook = getattr(importlib.import_module(module_name), name)
    except Exception as error:
        raise SettingError(
            f"DECODER is {setting!r}; expected module:function of this app: {describe(error)}."
        ) from error
    if not callable(hook):
        raise SettingError(f"DECODER is {setting!r}; expected a function.")
    found: Hook = hook
    return found


def call_hook(hook: Hook, bodies: list[bytes], until: Deadline | None = None) -> list[object]:
    """Decode bodies by one call; where that raises it is halved down to the guilty body.

    A Retryable that it raises, such as Transient, is the failure of all of them.

    Args:
        hook: the own decoder.
        bodies: of a slice.
        until: what is not narrowed down by then fails as Overdue, since a decoder that is slow to fail
            would be called some 500 times for 256 bodies.

    Returns:
        For each body its object, or its Failure.
    """
    try:
        results = list(hook(bodies))
        if len(results) != len(bodies):
            raise ValueError(f"the decoder gave {len(results)} results for {len(bodies)} bodies")  # noqa: TRY301
    except Retryable as failure:  # what the decoder needs is away: no body is guilty
        return [failure] * len(bodies)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: bisected to the guilty body
        if len(bodies) == 1:
            return [error if isinstance(error, Failure) else unexpected(Stage.DECODE, error)]
        if until is not None and until.passed:
            detail = f"there was no time to find the body for which it raised {type(error).__name__}"
            return [Overdue(Stage.DECODE, "decoder too slow", detail)] * len(bodies)
        half = len(bodies) // 2
        return call_hook(hook, bodies[:half], until) + call_hook(hook, bodies[half:], until)
    return [_as_failure(result) if isinstance(result, Exception) else result for result in results]


def _as_failure(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    return Permanent(Stage.DECODE, f"decoder: {type(error).__name__}", quote(str(error)))
