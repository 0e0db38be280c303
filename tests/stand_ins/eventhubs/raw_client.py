"""A client of bare frames, for what Microsoft's Python SDK never sends."""

from __future__ import annotations

import socket
import time
from typing import Self

from everscore_local.eventhubs import codec, messages, sas
from everscore_local.eventhubs.performatives import (
    PROTOCOL_HEADER,
    SASL_HEADER,
    Frame,
    Performative,
    frame,
    parse_frame,
)
from tests.stand_ins.eventhubs.support import KEY, KEY_NAME, PATIENCE


class RawClient:
    """One connection with one session."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        while len(self._buffer) < size:
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError(f"the server closed the connection; {self._buffer!r} was left")
            self._buffer += data
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def read(self) -> Frame | None:
        """Read a frame; None for an empty one."""
        head = self.exactly(4)
        return parse_frame(head + self.exactly(int.from_bytes(head) - 4))

    def expect(self, performative: Performative) -> Frame:
        """Read on to the next frame of a kind."""
        while True:
            found = self.read()
            if found is not None and found.descriptor == performative:
                return found

    def send(self, performative: Performative, *fields: bytes, payload: bytes = b"") -> None:
        """Send a frame on channel 0, its list cut short after the fields given."""
        self.socket.sendall(frame(0, codec.composite(performative, *fields) + payload))

    def open(self, *, idle_ms: int | None = None, sasl: bool = True) -> None:
        """Sign in, open, and begin a session."""
        if sasl:
            self.socket.sendall(SASL_HEADER)
            assert self.exactly(8) == SASL_HEADER
            head = self.exactly(4)
            assert b"ANONYMOUS" in self.exactly(int.from_bytes(head) - 4)
            self.socket.sendall(frame(0, codec.composite(0x41, codec.symbol("ANONYMOUS")), 1))
            head = self.exactly(4)
            self.exactly(int.from_bytes(head) - 4)
        self.socket.sendall(PROTOCOL_HEADER)
        assert self.exactly(8) == PROTOCOL_HEADER
        fields = [codec.string("raw")]
        if idle_ms is not None:
            fields += [codec.NULL, codec.NULL, codec.NULL, codec.uint(idle_ms)]
        self.send(Performative.OPEN, *fields)
        self.expect(Performative.OPEN)
        self.send(Performative.BEGIN, codec.NULL, codec.uint(0), codec.uint(5000), codec.uint(5000))
        self.expect(Performative.BEGIN)

    def attach_sender(self, handle: int, address: str, *, name: str = "") -> Frame:
        """Attach a link to send on, its source an empty list."""
        self.send(
            Performative.ATTACH,
            codec.string(name or f"sender-{handle}"),
            codec.uint(handle),
            codec.FALSE,
            codec.NULL,
            codec.NULL,
            codec.composite(0x28),
            codec.composite(0x29, codec.string(address)),
            codec.NULL,
            codec.NULL,
            codec.uint(0),
        )
        return self.expect(Performative.ATTACH)

    def attach_receiver(
        self, handle: int, address: str, *, name: str = "", filters: bytes = codec.NULL, credit: int = 100
    ) -> Frame:
        """Attach a link to receive on, its target an empty list, and give credit."""
        source = codec.composite(
            0x28, codec.string(address), *(codec.NULL,) * 6, *([] if filters == codec.NULL else [filters])
        )
        self.send(
            Performative.ATTACH,
            codec.string(name or f"receiver-{handle}"),
            codec.uint(handle),
            codec.TRUE,
            codec.NULL,
            codec.NULL,
            source,
            codec.composite(0x29),
        )
        attached = self.expect(Performative.ATTACH)
        if credit:
            self.flow(handle, credit)
        return attached

    def flow(self, handle: int, credit: int, *, delivery_count: int = 0, received: int = 0) -> None:
        """Give credit."""
        self.send(
            Performative.FLOW,
            codec.uint(received),
            codec.uint(5000),
            codec.uint(0),
            codec.uint(5000),
            codec.uint(handle),
            codec.uint(delivery_count),
            codec.uint(credit),
        )

    def transfer(
        self,
        handle: int,
        number: int,
        message: bytes,
        *,
        message_format: int = 0,
        settled: bool = False,
        more: bool = False,
    ) -> None:
        """Send one frame of a delivery."""
        self.send(
            Performative.TRANSFER,
            codec.uint(handle),
            codec.uint(number),
            codec.binary(number.to_bytes(4)),
            codec.uint(message_format),
            codec.boolean(settled),
            codec.boolean(more),
            payload=message,
        )

    def request(
        self, handle: int, number: int, reply_to: str, properties: dict[str, str], body: bytes
    ) -> None:
        """Send a request whose id is a number."""
        self.transfer(
            handle,
            number,
            codec.composite(
                messages.Section.PROPERTIES,
                codec.ulong(1000 + number),
                codec.NULL,
                codec.NULL,
                codec.NULL,
                codec.string(reply_to),
            )
            + codec.described(
                messages.Section.APPLICATION_PROPERTIES,
                codec.mapping((codec.string(key), codec.string(value)) for key, value in properties.items()),
            )
            + codec.described(messages.Section.VALUE, body),
        )

    def sign_in(self, hub: str, *, seconds: float = 3600, first_handle: int = 90) -> int:
        """Put a token for a hub; gives the status."""
        self.attach_sender(first_handle, "$cbs", name="cbs-sender")
        self.attach_receiver(first_handle + 1, "$cbs", name="cbs-receiver")
        token = make_token(hub, int(time.time() + seconds))
        properties = {
            "operation": "put-token",
            "type": "servicebus.windows.net:sastoken",
            "name": f"sb://127.0.0.1/{hub}",
        }
        self.request(first_handle, 0, "cbs-receiver", properties, codec.string(token))
        answer = self.expect(Performative.TRANSFER)
        assert answer.fields[0] == first_handle + 1
        return application_properties(answer.payload)["status-code"]


def make_token(hub: str, expiry: int, key: str = KEY) -> str:
    """Sign a token for a hub."""
    resource = f"sb%3A%2F%2F127.0.0.1%2F{hub}"
    signature = (
        sas.sign(key, resource, str(expiry)).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    )
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={KEY_NAME}"


def sections(message: bytes) -> dict[int, object]:
    """Take a message apart."""
    found: dict[int, object] = {}
    position = 0
    while position < len(message):
        value, position = codec.decode(message, position)
        found[value.descriptor] = value.value
    return found


def application_properties(message: bytes) -> dict[str, object]:
    """Give a message's application properties."""
    return sections(message)[messages.Section.APPLICATION_PROPERTIES]
