"""The AMQP codec by itself: what goes in comes out, and garbage is named as such."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everscore_local.eventhubs import codec, messages, performatives


def _whole(lowest: int, highest: int) -> st.SearchStrategy[int]:
    return st.integers(lowest, highest)


_ASCII = st.text(st.characters(max_codepoint=127), max_size=300)
_TEXT = st.text(max_size=300)

_SCALARS = st.one_of(
    st.just((codec.NULL, None)),
    st.booleans().map(lambda value: (codec.boolean(value), value)),
    _whole(0, 255).map(lambda value: (codec.ubyte(value), value)),
    _whole(0, 2**16 - 1).map(lambda value: (codec.ushort(value), value)),
    _whole(0, 2**32 - 1).map(lambda value: (codec.uint(value), value)),
    _whole(0, 2**64 - 1).map(lambda value: (codec.ulong(value), value)),
    _whole(-(2**31), 2**31 - 1).map(lambda value: (codec.int32(value), value)),
    _whole(-(2**63), 2**63 - 1).map(lambda value: (codec.int64(value), value)),
    _whole(-(2**63), 2**63 - 1).map(lambda value: (codec.timestamp(value), value)),
    st.floats(allow_nan=False).map(lambda value: (codec.double(value), value)),
    st.uuids().map(lambda value: (codec.uuid(value), value)),
    st.binary(max_size=300).map(lambda value: (codec.binary(value), value)),
    _TEXT.map(lambda value: (codec.string(value), value)),
    _ASCII.map(lambda value: (codec.symbol(value), value)),
    st.lists(_ASCII, max_size=20).map(lambda value: (codec.symbols(value), value)),
    st.lists(_TEXT, max_size=20).map(lambda value: (codec.strings(value), value)),
)


def _lists(inner: st.SearchStrategy[tuple[bytes, Any]]) -> st.SearchStrategy[tuple[bytes, Any]]:
    return st.lists(inner, max_size=8).map(
        lambda pairs: (codec.sequence(pair[0] for pair in pairs), [pair[1] for pair in pairs])
    )


def _maps(inner: st.SearchStrategy[tuple[bytes, Any]]) -> st.SearchStrategy[tuple[bytes, Any]]:
    return st.dictionaries(_TEXT, inner, max_size=8).map(
        lambda entries: (
            codec.mapping((codec.string(key), pair[0]) for key, pair in entries.items()),
            {key: pair[1] for key, pair in entries.items()},
        )
    )


def _described(inner: st.SearchStrategy[tuple[bytes, Any]]) -> st.SearchStrategy[tuple[bytes, Any]]:
    return st.tuples(_whole(0, 2**64 - 1), inner).map(
        lambda both: (codec.described(both[0], both[1][0]), codec.Described(both[0], both[1][1]))
    )


_VALUES = st.recursive(
    _SCALARS, lambda inner: st.one_of(_lists(inner), _maps(inner), _described(inner)), max_leaves=20
)


@given(_VALUES, st.binary(max_size=5))
def test_every_value_comes_back(pair: tuple[bytes, Any], more: bytes) -> None:
    """What is encoded decodes to itself, and both decoding and skipping end right behind it."""
    encoded, value = pair
    assert codec.decode(b"\xff" + encoded + more, 1) == (value, 1 + len(encoded))
    assert codec.skip(b"\xff" + encoded + more, 1) == 1 + len(encoded)


@given(_VALUES)
def test_a_value_cut_short_is_refused(pair: tuple[bytes, Any]) -> None:
    """No proper beginning of a value passes for a value."""
    encoded = pair[0]
    for size in {0, len(encoded) // 2, len(encoded) - 1} - {len(encoded)}:
        with pytest.raises(codec.DecodeError):
            codec.decode(encoded[:size])
        with pytest.raises(codec.DecodeError):
            codec.skip(encoded[:size], 0)


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_happens(data: bytes) -> None:
    """Any bytes either decode or raise the one documented error, in the codec, messages and frames alike."""
    for read in (codec.decode, lambda found: codec.skip(found, 0), messages.parse_request):
        try:
            read(data)
        except codec.DecodeError:
            continue
    for message_format in (0, messages.BATCH_FORMAT):
        try:
            messages.publish(data, message_format)
        except codec.DecodeError:
            continue
    try:
        performatives.parse_frame(b"\0\0\0\0\x02\0\0\0" + data)
    except performatives.ProtocolError:
        return


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"\x56\x01", True),
        (b"\x54\xff", -1),
        (b"\x55\x80", -128),
        (b"\x51\xff", -1),
        (b"\x61\xff\xfe", -2),
        (b"\x73\x00\x01\xf6\x00", "😀"),
        (b"\x98" + bytes(range(16)), UUID(bytes=bytes(range(16)))),
        (b"\xc0\x01\x00", []),
        (b"\xe0\x02\x00\xa1", []),
        (b"\xe0\x04\x02\x41", None),
        (b"\xf0\0\0\0\x09\0\0\0\x02\x00\x53\x24\x50\x07", None),
    ],
)
def test_forms_that_only_others_send(encoded: bytes, value: object) -> None:
    """Encodings that this server never makes are read as the specification says, or refused where cut short."""
    if value is None:
        with pytest.raises(codec.DecodeError):
            codec.decode(encoded)
    else:
        assert codec.decode(encoded) == (value, len(encoded))


def test_an_array_without_width_is_bounded() -> None:
    """A few bytes cannot ask for an array of four thousand million nulls."""
    with pytest.raises(codec.DecodeError, match="announces"):
        codec.decode(b"\xf0\0\0\0\x05\xff\xff\xff\xff\x40")


@given(
    st.binary(max_size=300),
    st.one_of(st.none(), _TEXT),
    st.dictionaries(_ASCII.filter(lambda name: not name.startswith("x-opt-")), _whole(0, 9), max_size=4),
    _whole(0, 2**40),
    _whole(0, 2**40),
)
def test_an_event_is_baked_byte_for_byte(
    body: bytes, key: str | None, own: dict[str, int], sequence: int, offset: int
) -> None:
    """Baking adds the hub's annotations, keeps the sender's and the key, and leaves the rest as it was."""
    pairs = [(codec.symbol(name), codec.uint(value)) for name, value in own.items()]
    pairs.append((codec.symbol("x-opt-offset"), codec.string("forged")))
    header = codec.composite(messages.Section.HEADER, codec.TRUE)
    rest = codec.described(messages.Section.DATA, codec.binary(body))
    event = header + codec.described(messages.Section.MESSAGE_ANNOTATIONS, codec.mapping(pairs)) + rest
    envelope = b"" if key is None else _keyed(key)
    batch = envelope + codec.described(messages.Section.DATA, codec.binary(event))

    events, found = messages.publish(batch, messages.BATCH_FORMAT)
    baked = messages.bake(events[0], sequence, offset, (1234).to_bytes(8))

    assert found == key
    assert baked.startswith(header)
    assert baked.endswith(rest)
    annotations, end = codec.decode(baked, len(header))
    assert end == len(baked) - len(rest)
    expected = {
        **own,
        "x-opt-sequence-number": sequence,
        "x-opt-offset": str(offset),
        "x-opt-enqueued-time": 1234,
    }
    if key is not None:
        expected["x-opt-partition-key"] = key
    assert annotations == codec.Described(messages.Section.MESSAGE_ANNOTATIONS, expected)


def _keyed(key: str) -> bytes:
    pairs = [(codec.symbol("x-opt-partition-key"), codec.string(key))]
    return codec.described(messages.Section.MESSAGE_ANNOTATIONS, codec.mapping(pairs))


@given(st.binary(max_size=3000), st.integers(512, 1024))
def test_deliveries_are_framed_within_the_peers_bound(payload: bytes, bound: int) -> None:
    """A delivery of any size goes out in frames of at most the peer's size, and comes together again."""
    out: list[bytes] = []
    frames = performatives.TransferFrames(3, 300, bound).add(out, 2**32 - 1, payload)
    data = b"".join(out)
    got, position, more = b"", 0, []
    while position < len(data):
        size = int.from_bytes(data[position : position + 4])
        assert size <= bound
        found = performatives.parse_frame(data[position : position + size])
        assert found is not None
        assert (found.channel, found.fields[0], found.fields[1], found.fields[4]) == (3, 300, 2**32 - 1, True)
        more.append(found.fields[5])
        got += found.payload
        position += size
    assert got == payload
    assert more == [True] * (frames - 1) + [False]
