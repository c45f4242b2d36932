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

    MISSING = "missing"  # Clerk has the user, and we have nothing
    STALE = "stale"  # Clerk's state is newer than ours, and a kept field differs
    GONE = "gone"  # we hold the user, and Clerk has none
    DELETED_HERE = "deleted-here"  # Clerk has the user, and we keep a tombstone, which nothing resurrects
    NEWER_HERE = "newer-here"
    """What we hold claims a later place in Clerk's time than what Clerk says now, and a kept field differs."""
    UNREADABLE = "unreadable"  # Clerk has the user in a shape that Clerk does not document
    UNSTORABLE = "unstorable"  # PostgreSQL refuses what Clerk has, whatever the time


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
    """Our living users, without what is in them. All methods raise StoreUnavailableError when there is no answer."""

    async def created(self, after: CreationKey, before: int, limit: int) -> Sequence[CreationKey]:
        """Return up to `limit` marks beyond `after`, in their order, of users created before `before` (ms)."""

    async def count(self) -> int:
        """Tell how many there are."""

    async def sample(self) -> Sequence[UserId]:
        """Return up to ten of them, the oldest and the newest."""


async def require_our_instance(living: LivingUsers, identities: ClerkUsers, *, absent: UserId | None = None) -> None:
    """Raise SafetyStopError unless Clerk knows one of our users beside `absent`, which may be the only one we have.

    A tombstone is for ever, and with the key of another instance everybody would seem to be gone.
    """
    others = [user_id for user_id in await living.sample() if user_id != absent]
    for user_id in others:
        if await identities.get(user_id) is not None:
            return
    if others or absent is None:
        raise SafetyStopError("Clerk knows none of our users: CLERK_SECRET_KEY seems to be of another instance")


def drift_of(snapshot: Snapshot, known: Known) -> Drift | None:
    """Compare what Clerk has with what we hold; `None` when no kept field differs."""
    if known is None:
        return Drift.MISSING
    if isinstance(known, Tombstone):
        return Drift.DELETED_HERE
    if snapshot.source.digest == known.source.digest:
        return None
    return Drift.STALE if snapshot.source > known.source else Drift.NEWER_HERE


def lags(snapshot: Snapshot, known: Known) -> bool:
    """Tell whether equal content has an older place here: unmoved, a late webhook in between would pass for news."""
    return (
        isinstance(known, User)
        and snapshot.source.digest == known.source.digest
        and snapshot.source.updated_at > known.source.updated_at
    )


@frozen(kw_only=True)
class DeletionLimit:
    """How many users a run may delete; more of them look like the wrong key, or a list cut short."""

    share: float = 0.05  # of our living users
    at_least: int = 10
    explicit: bool = False  # somebody has said so

    def of(self, living: int) -> int:
        return max(self.at_least, int(living * self.share))

    def require_this_instance(self, *, living: int, at_clerk: int, in_common: bool) -> None:
        """Raise SafetyStopError where nothing should be compared at all, by two counts and a sample."""
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
        """Raise SafetyStopError where a finished list is no ground for deleting anybody."""
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
