"""Links that carry requests and their answers: `$cbs` and `$management`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from . import codec, messages
from .links import Ends, IncomingLink, OutgoingLink
from .performatives import ACCEPTED, rejected

_MAX_WAITING = 1000

type Handler = Callable[[messages.Request], bytes]
"""Gives the encoded answer."""


class ResponseLink(OutgoingLink):
    """Carries answers; holds them back while there is no credit.

    Attributes:
        address: Where the peer says that it receives.
    """

    def __init__(self, ends: Ends, address: str) -> None:
        super().__init__(ends)
        self.address = address
        self._waiting: deque[bytes] = deque(maxlen=_MAX_WAITING)

    def answer(self, message: bytes) -> None:
        """Send an answer, as soon as there is credit."""
        self._waiting.append(message)
        self.on_credit()

    def on_credit(self) -> None:
        """Send what waits."""
        out: list[bytes] = []
        while self._waiting and self._credit > 0:
            self._deliver(out, self._waiting.popleft())
        if out:
            self.session.send(b"".join(out))


class RequestLink(IncomingLink):
    """Takes requests, has them handled, and answers on the response link beside it."""

    def __init__(self, ends: Ends, initial_delivery_count: int, handler: Handler) -> None:
        super().__init__(ends, initial_delivery_count)
        self._handler = handler

    def on_message(self, message: bytes, message_format: int) -> bytes:
        """Handle a request."""
        del message_format
        try:
            request = messages.parse_request(message)
        except codec.DecodeError as error:
            return rejected("amqp:decode-error", str(error))
        link = self._response_link(request.reply_to)
        if link is None:
            return rejected(
                "amqp:precondition-failed", f"no link of this session receives from {self.node.path}"
            )
        link.answer(self._handler(request))
        return ACCEPTED

    def _response_link(self, reply_to: str) -> ResponseLink | None:
        """Find the link for an answer: reply-to names an address, or a link, or nothing at all."""
        candidates = [
            link
            for link in self.session.links.values()
            if isinstance(link, ResponseLink) and link.node.path == self.node.path
        ]
        named = [link for link in candidates if reply_to and reply_to in {link.address, link.name}]
        found = named or candidates
        return found[-1] if found else None
