"""Reads at a replica: which of its answers may be used, and why the primary is read instead."""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum

from attrs import frozen

from application.errors import StoreUnavailableError, VersionNotReachedError
from application.failure import REPLICA, Cause, Failure
from application.users.ports import ReplicaReader, SignedIn
from domain.session import SessionId
from domain.user import Known, Tombstone, User, UserId

MAX_BEHIND_S = 5.0
"""How far behind a replica may be: for so long a ban or a revoked session may take effect at the primary alone.

A token lives for a minute, and a webhook takes about a second to arrive. A healthy replica is behind by less than
a second; one that is further behind is paused, overloaded or disconnected.
"""

NOT_ASKED = Failure(REPLICA, Cause.NO_ANSWER, "not asked yet")  # why a replica is not in use at the start


class WhyPrimary(StrEnum):
    """Why the primary is read; the value is a label of metrics."""

    UNAVAILABLE = "unavailable"  # no replica is in use, or the one that was asked did not answer in time
    BEHIND = "behind"  # it is further behind than `MAX_BEHIND_S`, or follows no primary: promoted, or just started
    ABSENT = "absent"
    BELOW_FLOOR = "below-floor"  # its version is older than the one that the caller has seen
    BANNED = "banned"  # a user who was unbanned meanwhile is not refused; a deletion or revocation is never undone


def is_close(behind_s: float | None) -> bool:
    """Tell whether a replica is close enough; it compares clocks of two servers, either of which may be ahead."""
    return behind_s is not None and abs(behind_s) <= MAX_BEHIND_S


def why_primary(known: Known, behind_s: float | None, at_least: int) -> WhyPrimary | None:
    """Judge a replica's answer about one user; None if it may be used."""
    if not is_close(behind_s):
        return WhyPrimary.BEHIND
    match known:
        case None:
            return WhyPrimary.ABSENT
        case User() if known.version < at_least:
            return WhyPrimary.BELOW_FLOOR
        case User() if known.profile.banned:
            return WhyPrimary.BANNED
    return None


def require_version(user: User, min_version: int) -> User:
    """Return the primary's user, or raise VersionNotReachedError: it is older than what the caller has seen."""
    if user.version < min_version:
        raise VersionNotReachedError
    return user


@frozen
class ReplicaReads:
    """Read from a replica; each method omits what must be read at the primary, and raises nothing.

    `at_least` is the newest version that the caller has seen: an older answer of a replica is not used.
    """

    replicas: ReplicaReader
    on_read: Callable[[WhyPrimary | None], None]  # called for each read, with the reason for reading the primary

    async def signed_in(self, user_id: UserId, session_id: SessionId | None, at_least: int) -> SignedIn | None:
        try:
            found = await self.replicas.signed_in(user_id, session_id)
        except StoreUnavailableError:
            self.on_read(WhyPrimary.UNAVAILABLE)
            return None
        why = why_primary(found.user, found.behind_s, at_least)
        self.on_read(why)
        return None if why else found

    async def get(self, user_id: UserId, at_least: int) -> Known:
        found = await self.signed_in(user_id, None, at_least)
        return found.user if found else None

    async def get_many(self, user_ids: Collection[UserId], at_least: int) -> Mapping[UserId, User | Tombstone]:
        try:
            users, behind_s = await self.replicas.get_many(user_ids)
        except StoreUnavailableError:
            self.on_read(WhyPrimary.UNAVAILABLE)
            return {}
        reasons = {user_id: why_primary(users.get(user_id), behind_s, at_least) for user_id in user_ids}
        self.on_read(next(filter(None, reasons.values()), None))
        return {user_id: user for user_id, user in users.items() if not reasons[user_id]}

    async def by_email(self, email: str, *, limit: int) -> Sequence[User] | None:
        """Return None for an empty answer too: a user who signed up a moment ago must be found."""
        try:
            users, behind_s = await self.replicas.by_email(email, limit=limit)
        except StoreUnavailableError:
            self.on_read(WhyPrimary.UNAVAILABLE)
            return None
        reasons = [why_primary(user, behind_s, 0) for user in users] or [WhyPrimary.ABSENT]
        why = next(filter(None, reasons), None)
        self.on_read(why)
        return None if why else users
