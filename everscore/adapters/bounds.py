"""The one bound around everything that a port's method does at a service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from everscore.clock import deadline
from everscore.failures import OutOfTime, Stage, Transient


@asynccontextmanager
async def bounded(stage: Stage, kind: str, service: str, seconds: float) -> AsyncIterator[None]:
    """End what the block asks of a service after that time, or by the deadline of the step that runs.

    The SDKs bound parts of it, one by one: a connect, the pause between two pieces of an answer, a try. What
    has no end of its own is a server whose answer drips, a token that does not come, tries added up.

    Args:
        stage: of the failure.
        kind: of the service, for the reason.
        service: which one, for the sentence.
        seconds: for the connection, the token, all tries and the last byte of the answer together.

    Raises:
        Transient: the time was used up. What was sent may have been carried out.
        OutOfTime: likewise, and it was less than what such a request is given: the step's own time ended.
    """
    left = deadline.cut(seconds)
    if left <= 0.0:
        raise OutOfTime(stage, "no time left", f"the invocation's time was used up; {service} was not asked")
    try:
        async with asyncio.timeout(left):
            yield
    except TimeoutError as error:
        detail = f"{service} gave no whole answer within {left:.3g} seconds; what was sent may have been done"
        kept_short = OutOfTime if left < seconds else Transient
        raise kept_short(stage, f"{kind} timed out", detail) from error
