"""Which partition a partition key belongs to.

Source: the hash of Microsoft's SDKs (Jenkins' lookup3, `hashlittle2`, public domain), taken as the low 16
bits of c ^ b. The service's own choice is not documented, so nothing may depend on where a key lands,
only on every event of a key landing in the same place.
"""

_MASK = 0xFFFF_FFFF


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) & _MASK) | (value >> (32 - bits))


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = ((a - c) & _MASK) ^ _rotate(c, 4)
    c = (c + b) & _MASK
    b = ((b - a) & _MASK) ^ _rotate(a, 6)
    a = (a + c) & _MASK
    c = ((c - b) & _MASK) ^ _rotate(b, 8)
    b = (b + a) & _MASK
    a = ((a - c) & _MASK) ^ _rotate(c, 16)
    c = (c + b) & _MASK
    b = ((b - a) & _MASK) ^ _rotate(a, 19)
    a = (a + c) & _MASK
    c = ((c - b) & _MASK) ^ _rotate(b, 4)
    b = (b + a) & _MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> tuple[int, int]:
    c = ((c ^ b) - _rotate(b, 14)) & _MASK
    a = ((a ^ c) - _rotate(c, 11)) & _MASK
    b = ((b ^ a) - _rotate(a, 25)) & _MASK
    c = ((c ^ b) - _rotate(b, 16)) & _MASK
    a = ((a ^ c) - _rotate(c, 4)) & _MASK
    b = ((b ^ a) - _rotate(a, 14)) & _MASK
    c = ((c ^ b) - _rotate(b, 24)) & _MASK
    return b, c


def hash_key(key: str) -> int:
    """Hash a key to a signed 16-bit number."""
    data = key.encode("utf-8", "surrogatepass")
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    while len(data) > 12:
        a = (a + int.from_bytes(data[:4], "little")) & _MASK
        b = (b + int.from_bytes(data[4:8], "little")) & _MASK
        c = (c + int.from_bytes(data[8:12], "little")) & _MASK
        a, b, c = _mix(a, b, c)
        data = data[12:]
    if data:
        a = (a + int.from_bytes(data[:4], "little")) & _MASK
        b = (b + int.from_bytes(data[4:8], "little")) & _MASK
        c = (c + int.from_bytes(data[8:12], "little")) & _MASK
        b, c = _final(a, b, c)
    low = (c ^ b) & 0xFFFF
    return low - 0x10000 if low & 0x8000 else low


def partition_of(key: str, partitions: int) -> int:
    """Give the index of a key's partition."""
    return abs(hash_key(key) % partitions)
