"""Read a user from Clerk if a token arrives before the webhook."""

import asyncio
from collections.abc import Callable

from attrs import define, field

from application.errors import ClerkNotConfiguredError, ClerkUnavailableError, UserUnknownError
from application.failure import Cause
from application.users.ports import ClerkUsers, UserReader
from application.users.sync_user import SyncUser
from domain.user import Tombstone, User, UserId

LIMIT_S = 12.0  # for a read, Clerk and a write, each of which has its own bound
UNKNOWN_FOR_S = 5.0  # how long it is remembered that Clerk has no such user; a webhook takes effect meanwhile
UNKNOWN_AT_MOST = 10_000  # users of whom that is remembered; the oldest are dropped first


@define(eq=False)
class JustInTimeSync:
    """Ask Clerk once for all concurrent requests of a new user."""

    users: UserReader
    identities: ClerkUsers
    sync_user: SyncUser
    clock: Callable[[], float]  # monotonic seconds
    on_obtained: Callable[[], None] = lambda: None  # for each user that only Clerk had: a webhook is late, or lost
    _flights: "dict[UserId, asyncio.Task[User | Tombstone]]" = field(factory=dict, init=False)
    _unknown_until: dict[UserId, float] = field(factory=dict, init=False)  # in the order of the times

    async def __call__(self, user_id: UserId) -> User | Tombstone:
        """Return a user who had no row when the caller read it.

        Raises:
            UserUnknownError: Clerk has none, or said so a few seconds ago; or CLERK_SECRET_KEY is not set.
            ClerkUnavailableError, StoreUnavailableError, UnstorableError: not read in time; not remembered.
        """
        flight = self._flights.get(user_id)
        if flight is None:
            if self._unknown_until.get(user_id, self.clock()) > self.clock():
                raise UserUnknownError
            flight = asyncio.create_task(self._obtain_in_time(user_id))
            self._flights[user_id] = flight
            flight.add_done_callback(lambda done: self._land(user_id, done))
        # Other requests wait for the same task: a client that disconnects must not cancel it.
        return await asyncio.shield(flight)

    def _land(self, user_id: UserId, flight: "asyncio.Task[User | Tombstone]") -> None:
        del self._flights[user_id]
        if not flight.cancelled():
            flight.exception()  # retrieved, even when no caller waits any more

    async def _obtain_in_time(self, user_id: UserId) -> User | Tombstone:
        try:
            async with asyncio.timeout(LIMIT_S):
                return await self._obtain(user_id)
        except TimeoutError:
            raise ClerkUnavailableError(f"{LIMIT_S:g} s", Cause.NO_ANSWER) from None

    async def _obtain(self, user_id: UserId) -> User | Tombstone:
        # The caller may have read the row before the previous task ended.
        if known := await self.users.get(user_id):
            return known
        try:
            snapshot = await self.identities.get(user_id)
        except ClerkNotConfiguredError:
            snapshot = None
        except ClerkUnavailableError:
            if known := await self.users.get(user_id):
                return known  # the webhook arrived meanwhile
            raise
        if snapshot is None:
            if known := await self.users.get(user_id):
                return known
            self._unknown_until.pop(user_id, None)
            while len(self._unknown_until) >= UNKNOWN_AT_MOST:
                del self._unknown_until[next(iter(self._unknown_until))]
            self._unknown_until[user_id] = self.clock() + UNKNOWN_FOR_S
            raise UserUnknownError
        synced = (await self.sync_user(snapshot)).user
        self.on_obtained()
        return synced
