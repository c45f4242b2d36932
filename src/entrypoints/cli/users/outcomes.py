"""The result of an action, in words."""

from enum import StrEnum

from domain.decision import Outcome
from domain.user import Tombstone, User


class Action(StrEnum):
    """By what is printed when it was done."""

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
    """Say what was done, and our row's version: whether it holds is there, `outcome` tells only who stored it."""
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
