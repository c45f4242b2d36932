"""Which lane the events of a user or session belong to."""

from zlib import crc32

LANES = 64  # fixed with the first migration; docs/operations.md tells how to change it


def lane_of(key: str) -> int:
    """Return the lane of a key: CRC-32 (IEEE), because the database's own hash may change between versions."""
    return crc32(key.encode()) % LANES


def session_lane(lane: int) -> int:
    """Return the lane in which the session events of `lane` wait; the relay that holds `lane` sends them.

    Relays of the previous release, which know only the topic of users and would publish them there, do not read these
    lanes. Until a newer relay holds the lane, the events wait.
    """
    return lane + LANES


SESSIONS = "sessions"  # payload of a notification about session events; one about user events has no payload
