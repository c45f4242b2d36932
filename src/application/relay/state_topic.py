"""The state topic: each user's newest version, and nothing for a deleted user.

Compaction keeps the last record of a key, so an old version after a newer one would stay, and an old profile after a
tombstone would restore erased data. Consumers cannot repair that; it must not happen (ADR 0017).
"""

from application.relay.messages import Pending


class FencedError(Exception):
    """This writer may not write any more: another relay took over lanes, and its unfinished batch has no effect."""


def fill_lane(lane: int) -> int:
    """Return the lane of messages for the state topic alone; relays that do not write that topic never read it."""
    return ~lane


def for_state_only(pending: Pending) -> bool:
    return pending.lane < 0


def held_lane(pending: Pending) -> int:
    """Return the lane that a relay holds to send this message."""
    return fill_lane(pending.lane) if for_state_only(pending) else pending.lane
