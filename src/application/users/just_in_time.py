"""Obtain a user from Clerk when a token arrives before the webhook does."""

import asyncio
from collections.abc import Callable

from attrs import define, field

from application.errors import ClerkNotConfiguredError, ClerkUnavailableError, UserUnknownError
from application.failure import Cause
from application.users.ports import ClerkUsers, UserReader
from application.users.sync_user import SyncUser
from domain.user import Tombstone, User, UserId

LIMIT_S = 12.0  # for a read, Clerk and a write, each of which has a bound of its own
UNKNOWN_FOR_S = 5.0  # how long it is taken for granted that Clerk has no such user; the webhook is noticed all the same
UNKNOWN_AT_MOST = 10_000  # users of whom that is remembered; the oldest are forgotten first


@define(eq=False)
class JustInTimeSync:
    """Ask Clerk once, however many requests of a new user come at the same time."""

    users: UserReader
    identities: ClerkUsers
    sync_user: SyncUser
    clock: Callable[[], float]  # seconds that only ever go forward
    on_obtained: Callable[[], None] = lambda: None  # for each user that only Clerk had: a webhook is late, or lost
    limit_s: float = LIMIT_S
    unknown_at_most: int = UNKNOWN_AT_MOST
    _flights: "dict[UserId, asyncio.Task[User | Tombstone]]" = field(factory=dict, init=False)
    _unknown_until: dict[UserId, float] = field(factory=dict, init=False)  # in the order of the times

    async def __call__(self, user_id: UserId) -> User | Tombstone:
        """Return a user whose row was not there a moment ago.

        Raises:
            UserUnknownError: Clerk has none, or said so a few seconds ago; or there is no key to ask it with.
            ClerkUnavailableError, StoreUnavailableError, UnstorableError: it could not be obtained in
                bounded time. Nothing of that is remembered.
        """
        flight = self._flights.get(user_id)
        if flight is None:
            if self._unknown_until.get(user_id, self.clock()) > self.clock():
                raise UserUnknownError
            flight = asyncio.create_task(self._obtain_in_time(user_id))
            self._flights[user_id] = flight
            flight.add_done_callback(lambda done: self._land(user_id, done))
        # Others wait for the same: a client that leaves must not take the answer from them.
        return await asyncio.shield(flight)

    def _land(self, user_id: UserId, flight: "asyncio.Task[User | Tombstone]") -> None:
        del self._flights[user_id]
        if not flight.cancelled():
            flight.exception()  # retrieved, even when no caller waits any more

    async def _obtain_in_time(self, user_id: UserId) -> User | Tombstone:
        try:
            async with asyncio.timeout(self.limit_s):
                return await self._obtain(user_id)
        except TimeoutError:
            raise ClerkUnavailableError(f"{self.limit_s:g} s", Cause.NO_ANSWER) from None

    async def _obtain(self, user_id: UserId) -> User | Tombstone:
        # The caller's reading may be older than the end of the flight before this one.
        if known := await self.users.get(user_id):
            return known
        try:
            snapshot = await self.identities.get(user_id)
        except ClerkNotConfiguredError:
            snapshot = None
        except ClerkUnavailableError:
            if known := await self.users.get(user_id):
                return known  # the webhook landed meanwhile
            raise
        if snapshot is None:
            if known := await self.users.get(user_id):
                return known
            self._remember_unknown(user_id)
            raise UserUnknownError
        synced = (await self.sync_user(snapshot)).user
        self.on_obtained()
        return synced

    def _remember_unknown(self, user_id: UserId) -> None:
        self._unknown_until.pop(user_id, None)
        while len(self._unknown_until) >= self.unknown_at_most:
            del self._unknown_until[next(iter(self._unknown_until))]
        self._unknown_until[user_id] = self.clock() + UNKNOWN_FOR_S
