"""Whether everything that the app depends on is there, each part with one sentence that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from everscore.failures import EverscoreError, describe


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part's state.

    Attributes:
        ok: whether it is as it should be.
        detail: what was found; where not ok, what to do.
    """

    ok: bool
    detail: str = ""


class Report(msgspec.Struct, frozen=True):
    """All parts' states."""

    healthy: bool
    checks: dict[str, Check]

    def to_json(self) -> str:
        """As the health function answers."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


type Probe = Callable[[], Awaitable[str]]


async def examine(probes: Mapping[str, Probe]) -> Report:
    """Run all probes at once.

    Args:
        probes: by part; each returns what it found, or raises an EverscoreError that says what is wrong.
    """
    checks = dict(zip(probes, await asyncio.gather(*map(_check, probes.values())), strict=True))
    return Report(all(check.ok for check in checks.values()), checks)


async def _check(probe: Probe) -> Check:
    try:
        return Check(ok=True, detail=await probe())
    except EverscoreError as error:
        return Check(ok=False, detail=describe(error))
    except Exception as error:  # noqa: BLE001 - the report must come, whatever one part does
        return Check(ok=False, detail=f"unexpected {describe(error)}")
