"""Which lane the events of a user or session travel in."""

from zlib import crc32

LANES = 64  # fixed with the first migration; docs/operations.md tells how to change it


def lane_of(key: str) -> int:
    """Return the lane of a key: CRC-32 (IEEE), because a hash of the database's may change with its version."""
    return crc32(key.encode()) % LANES


def session_lane(lane: int) -> int:
    """Return where the session events of a lane wait, for whichever relay holds the lane.

    A lane of their own keeps them out of the way of relays that know one topic only, which are those of the release
    before: such a relay would publish them among the users'. They wait until a newer one holds the lane.
    """
    return lane + LANES


SESSIONS = "sessions"  # what a wake-up says when session events were stored; of users' events it says nothing
