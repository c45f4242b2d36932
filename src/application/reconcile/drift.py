"""How our users differ from Clerk's, and when a run must stop instead of repairing."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from attrs import frozen

from application.counting import counted
from application.errors import SafetyStopError
from application.users.ports import ClerkUsers
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


@frozen(order=True)
class CreationKey:
    """A place among our living users, in the order of their creation at Clerk."""

    created_at: int  # milliseconds since 1970
    user_id: UserId


class LivingUsers(Protocol):
    """The ids of the living users in the table. All methods raise StoreUnavailableError when there is no answer."""

    async def created(self, after: CreationKey, before: int, limit: int) -> Sequence[CreationKey]:
        """Return up to `limit` positions after `after`, in order, of users created before `before` (ms)."""

    async def count(self) -> int:
        """Return how many there are."""

    async def sample(self) -> Sequence[UserId]:
        """Return up to ten of them, the oldest and the newest."""


async def require_our_instance(living: LivingUsers, identities: ClerkUsers, *, absent: UserId | None = None) -> None:
    """Raise SafetyStopError unless Clerk knows one of our users beside `absent`, which may be the only one we have.

    A tombstone is permanent, and with the key of another instance every user would seem to be deleted.
    """
    others = [user_id for user_id in await living.sample() if user_id != absent]
    for user_id in others:
        if await identities.get(user_id) is not None:
            return
    if others or absent is None:
        raise SafetyStopError("Clerk knows none of our users: CLERK_SECRET_KEY seems to be of another instance")


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
