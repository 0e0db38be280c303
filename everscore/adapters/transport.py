"""The HTTP transport of the async clients."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from azure.core.pipeline.transport import AioHttpTransport


@dataclass(slots=True)
class Answers:
    """Whether any answer came to the requests of a block."""

    came: bool = False


_answers: ContextVar[Answers | None] = ContextVar("answers", default=None)


@contextmanager
def noting_answers() -> Iterator[Answers]:
    """Note whether a service answers within the block: what fails before that is no answer's fault."""
    answers = Answers()
    token = _answers.set(answers)
    try:
        yield answers
    finally:
        _answers.reset(token)


class _Transport(AioHttpTransport):  # type: ignore[misc]  # the SDK gives it untyped
    async def send(self, request: Any, **config: Any) -> Any:
        response = await super().send(request, **config)
        answers = _answers.get()
        if answers is not None:
            answers.came = True
        return response


def transport(connection_timeout: float, read_timeout: float) -> AioHttpTransport:
    """A transport for one client, which closes it.

    By default aiohttp looks for proxies in the environment and, in another thread, for a .netrc file, at
    every single request: a third of what a request costs. Here the environment is looked at once, and where
    it names no proxy, not again.

    Args:
        connection_timeout: seconds to connect.
        read_timeout: seconds to wait for an answer.
    """
    return _Transport(
        use_env_settings=bool(urllib.request.getproxies()),
        connection_timeout=connection_timeout,
        read_timeout=read_timeout,
    )
