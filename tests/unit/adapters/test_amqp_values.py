"""Kinds of AMQP values, told apart by the SDK's decoder."""

from __future__ import annotations

import struct

from azure.eventhub._pyamqp import _decode

from everscore.adapters import amqp_values as of_the_app
from everscore_local.functions import amqp_values as of_the_host


def decoded(encoded: bytes) -> object:
    """What the SDK makes of one encoded value."""
    buffer = memoryview(encoded)
    rest, value = _decode._DECODE_BY_CONSTRUCTOR[buffer[0]](buffer[1:])
    assert not rest
    return value


def test_hole_18_app_and_host_read_alike_in_one_process() -> None:
    """Where the app runs in its host's process both read every kind of value in one way, whoever came first."""
    for module in (of_the_host, of_the_app, of_the_host):
        module.install()
    encoded = {
        b"\xa1\x02ab": "ab",
        b"\xb3\x00\x00\x00\x02ab": "ab",
        b"\xa0\x02ab": "YWI=",
        b"\x72" + struct.pack(">f", 0.1): 0.1,
        b"\x73\x00\x00\x00\xe9": "é",
        b"\x83" + struct.pack(">q", 1_500): "1970-01-01T00:00:01.5Z",
        b"\x00\xa3\x16com.microsoft:timespan\x81" + struct.pack(">q", 905_000_000): "00:01:30.5000000",
        b"\x00\xa3\x05other\x54\x07": 7,
    }
    for text, expected in encoded.items():
        value = decoded(text)
        assert of_the_app.as_json(value) == expected
        assert of_the_host.as_json(value) == expected
