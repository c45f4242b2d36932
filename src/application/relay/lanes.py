"""Which lane a user's events travel in."""

from zlib import crc32

LANES = 64
"""Fixed with the first migration; docs/operations.md tells how to change it."""


def lane_of(key: str) -> int:
    """Return the lane of a key: CRC-32 (IEEE), because a hash of the database's may change with its version."""
    return crc32(key.encode()) % LANES
