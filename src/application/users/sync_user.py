"""Apply a snapshot from Clerk to one user."""

from functools import partial

from attrs import frozen

from application.users.ports import UserStore
from domain.decision import Decision
from domain.snapshot import Snapshot
from domain.sync_user import sync_user


@frozen
class SyncUser:
    users: UserStore

    async def __call__(self, snapshot: Snapshot) -> Decision:
        return await self.users.change(snapshot.id, partial(sync_user, snapshot=snapshot))
