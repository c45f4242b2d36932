"""Bring users above the versions that consumers have seen: after a failover that lost commits, or a restore."""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from attrs import define, field

from application.errors import ClerkUnavailableError, UnstorableError
from application.reconcile.our_instance import require_our_instance
from application.reconcile.ports import ReadSeen, Seen
from application.users.ports import ClerkUsers, UserDirectory, UserStore
from application.users.representation import user_document
from domain.decision import Decision, Outcome
from domain.delete_user import delete_user
from domain.overtake import overtake
from domain.snapshot import Deletion
from domain.sync_user import sync_user
from domain.user import Known, Tombstone, User, UserId

PAGE = 1000  # users in one statement


@define(kw_only=True)
class OvertakeSeen:
    """Publish every user again whose row is behind the topic or differs from it, above the version consumers have seen.

    Clerk's current state is applied in the same step. A user who is only in the topic was deleted at Clerk, or the row
    was lost; one whom consumers saw deleted may have come back. Clerk is asked, and must know one of our users before
    any user is deleted.
    """

    read_seen: ReadSeen
    directory: UserDirectory
    identities: ClerkUsers
    users: UserStore
    now_ms: Callable[[], int]
    _is_our_instance: bool = field(default=False, init=False)

    async def __call__(self, since_ms: int, *, dry_run: bool) -> AsyncIterator[UserId]:
        """Yield each user who was published again, or in a dry run would be.

        Raises:
            SafetyStopError: Clerk knows none of our users; no user was deleted.
            UnstorableError: what Clerk has of a user, who is named, cannot be read or stored; the others were done.
            BrokerUnavailableError, ClerkUnavailableError, StoreUnavailableError: earlier repairs stay.
        """
        seen = await self.read_seen(since_ms)
        everyone = list(seen)
        refused: UnstorableError | None = None
        for ids in (everyone[start : start + PAGE] for start in range(0, len(everyone), PAGE)):
            ours = await self.directory.get_many(ids)
            for user_id in ids:
                if not is_behind(ours.get(user_id), seen[user_id]):
                    continue
                try:
                    if not dry_run:
                        await self._overtake(user_id, ours.get(user_id), seen[user_id])
                except (ClerkUnavailableError, UnstorableError) as error:
                    await self.identities.count()  # raises if it is not about this user alone
                    refused = refused or UnstorableError(f"{user_id}: {error}")
                else:
                    yield user_id
        if refused:
            raise refused

    async def _overtake(self, user_id: UserId, known: Known, seen: Seen) -> None:
        news = await self._news(user_id, known, seen)
        await self.users.change(user_id, partial(overtake, news=news, published=seen.version))

    async def _news(self, user_id: UserId, known: Known, seen: Seen) -> Callable[[Known], Decision]:
        if isinstance(known, Tombstone):
            return _no_news
        snapshot = await self.identities.get(user_id)
        if snapshot is not None:
            return partial(sync_user, snapshot=snapshot)
        if known is not None and "deleted_at" not in seen.user:
            return _no_news  # users whom Clerk no longer has are deleted by `reconcile`, within its limit
        if not self._is_our_instance:
            await require_our_instance(self.directory, self.identities)
            self._is_our_instance = True
        return partial(delete_user, deletion=Deletion(id=user_id, deleted_at=self.now_ms()))


def is_behind(known: Known, seen: Seen) -> bool:
    """Tell whether consumers would drop this user's next event, or keep a state that differs from the row."""
    was_deleted = "deleted_at" in seen.user
    if known is None or known.version < seen.version or (was_deleted and isinstance(known, User)):
        return True
    if known.version > seen.version:
        return False
    ours: Mapping[str, Any] = user_document(known)
    # The fields that both have: another release may have published it, with more of them or fewer.
    differs = any(ours[name] != seen.user[name] for name in ours.keys() & seen.user.keys())
    return differs or isinstance(known, Tombstone) != was_deleted


def _no_news(known: Known) -> Decision:
    assert known  # noqa: S101  # rows are never removed
    return Decision(outcome=Outcome.UNCHANGED, user=known)
