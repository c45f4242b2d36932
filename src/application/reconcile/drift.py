"""How our users differ from Clerk's, and how many a run may delete."""

from enum import StrEnum

from attrs import frozen

from application.counting import counted
from application.errors import SafetyStopError
from domain.snapshot import Snapshot
from domain.user import Known, Tombstone, User, UserId


class Drift(StrEnum):
    """How one user differs; the first three can be repaired."""

    MISSING = "missing"  # Clerk has the user, and there is no row
    STALE = "stale"  # Clerk's state is newer than the row, and a kept field differs
    GONE = "gone"  # there is a row, and Clerk has no such user
    DELETED_HERE = "deleted-here"  # Clerk has the user, and the row is a tombstone, which is never undone
    NEWER_HERE = "newer-here"
    """The row has a later source version than Clerk's answer, and a kept field differs."""
    UNREADABLE = "unreadable"  # Clerk has the user in a shape that Clerk does not document
    UNSTORABLE = "unstorable"  # PostgreSQL permanently refuses what Clerk has


@frozen(kw_only=True)
class Difference:
    """One user who differs, or did."""

    user_id: UserId
    drift: Drift
    repaired: bool = False
    detail: str = ""  # names of fields, or what was wrong with one; never a value


def drift_of(snapshot: Snapshot, known: Known) -> Drift | None:
    """Compare Clerk's user with the row; `None` if no kept field differs."""
    if known is None:
        return Drift.MISSING
    if isinstance(known, Tombstone):
        return Drift.DELETED_HERE
    if snapshot.source.digest == known.source.digest:
        return None
    return Drift.STALE if snapshot.source > known.source else Drift.NEWER_HERE


def lags(snapshot: Snapshot, known: Known) -> bool:
    """Tell whether equal content has an older source version here: left so, a late webhook would count as newer."""
    return (
        isinstance(known, User)
        and snapshot.source.digest == known.source.digest
        and snapshot.source.updated_at > known.source.updated_at
    )


@frozen(kw_only=True)
class DeletionLimit:
    """How many users a run may delete; more suggest a wrong key, or an incomplete list."""

    share: float = 0.05  # of the living users in the table
    at_least: int = 10
    explicit: bool = False  # an operator has allowed it

    def of(self, living: int) -> int:
        return max(self.at_least, int(living * self.share))

    def require_this_instance(self, *, living: int, at_clerk: int, in_common: bool) -> None:
        """Raise SafetyStopError if two counts and a sample show that nothing should be compared."""
        allowed = self.of(living)
        if not living or (self.explicit and allowed >= living):
            return
        ours = counted(living, "user")
        if not at_clerk:
            raise SafetyStopError(f"Clerk has no user at all, and we hold {living:,}")
        if not in_common:
            raise SafetyStopError(f"none of those we looked up is at Clerk, of the {ours} that we hold")
        if living - at_clerk > allowed:
            says = f"we hold {ours} and Clerk has {at_clerk:,}, so more than {allowed:,} would be deleted"
            raise SafetyStopError(says)

    def require_whole_list(self, *, listed: int, at_clerk: int) -> None:
        """Raise SafetyStopError if the complete list does not justify any deletion."""
        if at_clerk - listed > self.of(at_clerk):
            raise SafetyStopError(f"Clerk counts {counted(at_clerk, 'user')} and listed {listed:,}")

    def require_few(self, *, gone: int, unlisted: int, living: int) -> None:
        """Raise SafetyStopError if too many are gone, or `unlisted`: not in Clerk's list, and at Clerk."""
        allowed = self.of(living)
        if gone > allowed:
            says = f"more than {allowed:,} of the {counted(living, 'user')} that we hold would be deleted"
            raise SafetyStopError(says)
        if unlisted > allowed:
            raise SafetyStopError(f"Clerk has more than {counted(allowed, 'user')} that it did not list")
