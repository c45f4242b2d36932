"""Leave a tombstone for a user that Clerk deleted."""

from functools import partial

from attrs import frozen

from application.users.ports import UserStore
from domain.decision import Decision
from domain.delete_user import delete_user
from domain.snapshot import Deletion


@frozen
class DeleteUser:
    users: UserStore

    async def __call__(self, deletion: Deletion) -> Decision:
        return await self.users.change(deletion.id, partial(delete_user, deletion=deletion))
