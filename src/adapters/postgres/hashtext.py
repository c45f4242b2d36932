"""The hash by which Citus distributes a text: PostgreSQL's `hashtext`, Bob Jenkins' lookup3 over the bytes."""

import struct
from functools import lru_cache

_BITS = 0xFFFFFFFF
_SEED = 0x9E3779B9 + 3923095  # src/common/hashfn.c, which adds the length
_MIX = (4, 6, 8, 16, 19, 4)
_FINISH = (14, 11, 25, 16, 4, 14, 24)


@lru_cache(maxsize=65_536)
def hashtext(value: str) -> int:
    """Return the hash of a server with little-endian bytes whose encoding is UTF-8, signed, of 32 bits."""
    data = value.encode(errors="surrogatepass")  # no server stores it: the write fails
    a: int = (_SEED + len(data)) & _BITS
    b = c = a
    end = len(data) - len(data) % 12
    for x, y, z in struct.iter_unpack("<3I", data[:end]):
        a, b, c = a + x & _BITS, b + y & _BITS, c + z & _BITS
        for bits in _MIX:
            a = (a - c & _BITS) ^ (c << bits & _BITS | c >> 32 - bits)
            c = c + b & _BITS
            a, b, c = b, c, a
    x, y, z = struct.unpack("<3I", data[end : end + 8].ljust(8, b"\0") + b"\0" + data[end + 8 :].ljust(3, b"\0"))
    a, b, c = a + x & _BITS, b + y & _BITS, c + z & _BITS
    for bits in _FINISH:
        c = (c ^ b) - (b << bits & _BITS | b >> 32 - bits) & _BITS
        a, b, c = b, c, a
    return int((b ^ 1 << 31) - (1 << 31))
