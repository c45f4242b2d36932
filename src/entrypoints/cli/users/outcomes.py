"""What came of an action, in words."""

from enum import StrEnum

from domain.decision import Outcome
from domain.user import Tombstone, User


class Action(StrEnum):
    """The value says that it was done."""

    BAN = "banned"
    UNBAN = "not banned"
    LOCK = "locked"
    UNLOCK = "not locked"
    SET_METADATA = "metadata set"
    SYNC = "synced"
    DELETE = "deleted"


_SYNCED = {
    Outcome.CREATED: "created here",
    Outcome.UPDATED: "updated here",
    Outcome.UNCHANGED: "nothing differs",
    Outcome.STALE: "left as it is: what we hold is newer than what Clerk answered",
}


def outcome_of(action: Action, outcome: Outcome, user: User | Tombstone) -> str:
    """Say what was done, and the version of our row.

    For an action at Clerk, `outcome` tells only who stored it: with `unchanged` and `stale` its webhook was faster than
    Clerk's answer, or there was nothing to do. Whether it holds is in the row.
    """
    version = f"(version {user.version})"
    if isinstance(user, Tombstone):
        absent = " here: Clerk has no such user" if action is Action.SYNC else ""
        return f"{f'deleted{absent}' if outcome is Outcome.DELETED else 'was deleted before, for ever'} {version}"
    holds = {
        Action.BAN: user.profile.banned,
        Action.UNBAN: not user.profile.banned,
        Action.LOCK: user.profile.locked,
        Action.UNLOCK: not user.profile.locked,
    }
    if not holds.get(action, True):
        return f"{action} at Clerk; our row is of a later change, which says otherwise {version}"
    return f"{_SYNCED[outcome] if action is Action.SYNC else action} {version}"
