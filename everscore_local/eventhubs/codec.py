"""AMQP 1.0 type system: encoders that give bytes, and a decoder that gives Python values.

Source: OASIS AMQP 1.0, part 1 (types). Each encoder takes a Python value and gives its complete
encoding, so that composite types are built by handing encoded fields to `sequence` or `mapping`.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

NULL = b"\x40"
TRUE = b"\x41"
FALSE = b"\x42"

# An array of elements without width (nulls, trues) costs its sender nothing, so its count needs a bound.
_WIDTHLESS_LIMIT = 65_535


class DecodeError(ValueError):
    """Bytes that are not a complete, valid AMQP value."""


class Symbol(str):
    """A text of AMQP type symbol: compares equal to the same str."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A value together with the descriptor that says what it means."""

    descriptor: object
    value: object


def boolean(value: bool) -> bytes:
    """Encode a boolean."""
    return TRUE if value else FALSE


def ubyte(value: int) -> bytes:
    """Encode 0 to 255."""
    return bytes((0x50, value))


def ushort(value: int) -> bytes:
    """Encode 0 to 65,535."""
    return struct.pack(">BH", 0x60, value)


def uint(value: int) -> bytes:
    """Encode an unsigned 32-bit integer in its shortest form."""
    if value == 0:
        return b"\x43"
    return bytes((0x52, value)) if value < 256 else struct.pack(">BI", 0x70, value)


def ulong(value: int) -> bytes:
    """Encode an unsigned 64-bit integer in its shortest form."""
    if value == 0:
        return b"\x44"
    return bytes((0x53, value)) if value < 256 else struct.pack(">BQ", 0x80, value)


def int32(value: int) -> bytes:
    """Encode a signed 32-bit integer (AMQP int)."""
    return struct.pack(">Bi", 0x71, value)


def int64(value: int) -> bytes:
    """Encode a signed 64-bit integer (AMQP long)."""
    return struct.pack(">Bq", 0x81, value)


def double(value: float) -> bytes:
    """Encode a 64-bit float."""
    return struct.pack(">Bd", 0x82, value)


def timestamp(milliseconds: int) -> bytes:
    """Encode a time in milliseconds since 1970, UTC."""
    return struct.pack(">Bq", 0x83, milliseconds)


def uuid(value: UUID) -> bytes:
    """Encode a UUID."""
    return b"\x98" + value.bytes


def _variable(short: int, long: int, content: bytes) -> bytes:
    if len(content) < 256:
        return bytes((short, len(content))) + content
    return struct.pack(">BI", long, len(content)) + content


def binary(value: bytes) -> bytes:
    """Encode a run of bytes."""
    return _variable(0xA0, 0xB0, value)


def string(value: str) -> bytes:
    """Encode a text as UTF-8."""
    return _variable(0xA1, 0xB1, value.encode())


def symbol(value: str) -> bytes:
    """Encode an ASCII name of some constrained set."""
    return _variable(0xA3, 0xB3, value.encode("ascii"))


def _compound(short: int, long: int, count: int, content: bytes) -> bytes:
    if count < 256 and len(content) < 255:
        return bytes((short, len(content) + 1, count)) + content
    return struct.pack(">BII", long, len(content) + 4, count) + content


def sequence(fields: Iterable[bytes]) -> bytes:
    """Encode a list of encoded values."""
    encoded = list(fields)
    return _compound(0xC0, 0xD0, len(encoded), b"".join(encoded)) if encoded else b"\x45"


def mapping(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode a map of encoded keys to encoded values."""
    flat = [part for pair in pairs for part in pair]
    return _compound(0xC1, 0xD1, len(flat), b"".join(flat))


def symbols(values: Iterable[str]) -> bytes:
    """Encode an array of symbols."""
    texts = [value.encode("ascii") for value in values]
    content = b"\xb3" + b"".join(struct.pack(">I", len(text)) + text for text in texts)
    return _compound(0xE0, 0xF0, len(texts), content)


def strings(values: Iterable[str]) -> bytes:
    """Encode an array of texts."""
    texts = [value.encode() for value in values]
    content = b"\xb1" + b"".join(struct.pack(">I", len(text)) + text for text in texts)
    return _compound(0xE0, 0xF0, len(texts), content)


def described(descriptor: int, value: bytes) -> bytes:
    """Put a numeric descriptor before an encoded value."""
    return b"\x00" + ulong(descriptor) + value


def composite(descriptor: int, *fields: bytes) -> bytes:
    """Encode a described list, all of its fields in full."""
    return described(descriptor, sequence(fields))


type _Decoder = Callable[[bytes, int], tuple[object, int]]


def decode(buffer: bytes, position: int = 0) -> tuple[object, int]:
    """Decode the value at `position`: the value and the position behind it.

    Raises:
        DecodeError: the bytes end too early, or are no AMQP value.
    """
    try:
        return _decode(buffer, position)
    except (struct.error, IndexError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"no valid AMQP value at byte {position}: {error}") from error


def skip(buffer: bytes, position: int) -> int:
    """Give the position behind the value at `position`, without decoding it.

    Raises:
        DecodeError: the bytes end too early.
    """
    size = len(buffer)
    try:
        constructor = buffer[position]
        while constructor == 0:  # a described value: its descriptor, then the value itself
            position = skip(buffer, position + 1)
            constructor = buffer[position]
        width = _WIDTHS[constructor >> 4]
        if width >= 0:
            end = position + 1 + width
        elif width == -1:
            end = position + 2 + buffer[position + 1]
        elif width == -4:
            end = position + 5 + int.from_bytes(buffer[position + 1 : position + 5])
        else:
            raise DecodeError(f"unknown AMQP type 0x{constructor:02x} at byte {position}")
    except (IndexError, RecursionError) as error:
        raise DecodeError(f"the AMQP value at byte {position} is cut short") from error
    if end > size:
        raise DecodeError(f"the AMQP value at byte {position} is cut short")
    return end


# By the high half of the constructor: bytes of a fixed width; -1 and -4 where a size of 1 or 4 bytes stands.
_UNKNOWN = -9
_WIDTHS = (
    *(_UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN, 0, 1, 2, 4, 8, 16),
    *(-1, -4, -1, -4, -1, -4),
)


def _decode(buffer: bytes, position: int) -> tuple[object, int]:
    constructor = buffer[position]
    if constructor == 0:
        descriptor, position = _decode(buffer, position + 1)
        value, position = _decode(buffer, position)
        return Described(descriptor, value), position
    return _decoder(constructor)(buffer, position + 1)


def _decoder(constructor: int) -> _Decoder:
    decoder = _DECODERS.get(constructor)
    if decoder is None:
        raise DecodeError(f"unknown AMQP type 0x{constructor:02x}")
    return decoder


def _constant(value: object) -> _Decoder:
    return lambda _buffer, position: (value, position)


def _fixed(layout: str) -> _Decoder:
    form = struct.Struct(">" + layout)
    unpack, size = form.unpack_from, form.size
    return lambda buffer, position: (unpack(buffer, position)[0], position + size)


def _slice(buffer: bytes, position: int, size: int) -> tuple[bytes, int]:
    end = position + size
    if end > len(buffer):
        raise DecodeError(f"{size} bytes announced at byte {position}, {len(buffer) - position} left")
    return buffer[position:end], end


def _boolean(buffer: bytes, position: int) -> tuple[object, int]:
    return buffer[position] != 0, position + 1


def _raw(size: int) -> _Decoder:
    return lambda buffer, position: _slice(buffer, position, size)


def _uuid(buffer: bytes, position: int) -> tuple[object, int]:
    content, position = _slice(buffer, position, 16)
    return UUID(bytes=content), position


def _character(buffer: bytes, position: int) -> tuple[object, int]:
    content, position = _slice(buffer, position, 4)
    return content.decode("utf-32-be"), position


def _size(width: int, buffer: bytes, position: int) -> tuple[int, int]:
    content, position = _slice(buffer, position, width)
    return int.from_bytes(content), position


def _sized(width: int, convert: Callable[[bytes], object]) -> _Decoder:
    def decoder(buffer: bytes, position: int) -> tuple[object, int]:
        size, position = _size(width, buffer, position)
        content, position = _slice(buffer, position, size)
        return convert(content), position

    return decoder


def _text(content: bytes) -> str:
    return content.decode()


def _symbol(content: bytes) -> Symbol:
    return Symbol(content.decode("ascii"))


def _bounds(width: int, buffer: bytes, position: int) -> tuple[int, int, int]:
    """Give the count of elements, the position of the first, and the end of a compound value."""
    size, position = _size(width, buffer, position)
    end = position + size
    if end > len(buffer) or size < width:
        raise DecodeError(f"{size} bytes announced at byte {position}, {len(buffer) - position} left")
    count, position = _size(width, buffer, position)
    return count, position, end


def _exact(position: int, end: int) -> int:
    if position != end:
        raise DecodeError(f"a compound value ends at byte {position}, not at {end} as announced")
    return end


def _list(width: int) -> _Decoder:
    def decoder(buffer: bytes, position: int) -> tuple[object, int]:
        count, position, end = _bounds(width, buffer, position)
        values = []
        for _ in range(count):
            value, position = _decode(buffer, position)
            values.append(value)
        return values, _exact(position, end)

    return decoder


def _map(width: int) -> _Decoder:
    def decoder(buffer: bytes, position: int) -> tuple[object, int]:
        count, position, end = _bounds(width, buffer, position)
        if count % 2:
            raise DecodeError("a map holds a key without a value")
        values = {}
        for _ in range(count // 2):
            key, position = _decode(buffer, position)
            values[key], position = _decode(buffer, position)
        return values, _exact(position, end)

    return decoder


def _array(width: int) -> _Decoder:
    def decoder(buffer: bytes, position: int) -> tuple[object, int]:
        count, position, end = _bounds(width, buffer, position)
        if position == end and count == 0:  # some senders leave out the constructor of an empty array
            return [], end
        descriptor: object = None
        constructor, position = buffer[position], position + 1
        is_described = constructor == 0
        if is_described:
            descriptor, position = _decode(buffer, position)
            constructor, position = buffer[position], position + 1
        element = _decoder(constructor)
        if count > max(end - position, _WIDTHLESS_LIMIT):
            raise DecodeError(f"an array announces {count} elements in {end - position} bytes")
        values: list[object] = []
        for _ in range(count):
            value, position = element(buffer, position)
            values.append(Described(descriptor, value) if is_described else value)
        return values, _exact(position, end)

    return decoder


_DECODERS: dict[int, _Decoder] = {
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(0),
    0x44: _constant(0),
    0x45: lambda _buffer, position: ([], position),
    0x50: _fixed("B"),
    0x51: _fixed("b"),
    0x52: _fixed("B"),
    0x53: _fixed("B"),
    0x54: _fixed("b"),
    0x55: _fixed("b"),
    0x56: _boolean,
    0x60: _fixed("H"),
    0x61: _fixed("h"),
    0x70: _fixed("I"),
    0x71: _fixed("i"),
    0x72: _fixed("f"),
    0x73: _character,
    0x74: _raw(4),
    0x80: _fixed("Q"),
    0x81: _fixed("q"),
    0x82: _fixed("d"),
    0x83: _fixed("q"),
    0x84: _raw(8),
    0x94: _raw(16),
    0x98: _uuid,
    0xA0: _sized(1, bytes),
    0xA1: _sized(1, _text),
    0xA3: _sized(1, _symbol),
    0xB0: _sized(4, bytes),
    0xB1: _sized(4, _text),
    0xB3: _sized(4, _symbol),
    0xC0: _list(1),
    0xC1: _map(1),
    0xD0: _list(4),
    0xD1: _map(4),
    0xE0: _array(1),
    0xF0: _array(4),
}
