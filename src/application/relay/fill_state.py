"""Write the state of users whose events are long gone: after the state topic is switched on, or was made anew."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from attrs import frozen

from domain.user import UserId

PAGE = 1000  # users in one statement
MOST_WAITING = 10_000  # more are not put: what waits takes room in the outbox, and the relays are not any faster for it

PAUSE_S = 0.2


class StateFill(Protocol):
    """Hands users over to the relays that feed the state topic, which keep the order. Raises StoreUnavailableError."""

    async def put(self, after: UserId | None, limit: int) -> Sequence[UserId]:
        """Let the state of the next `limit` users beyond `after`, deleted ones too, wait for a relay; return their ids.

        The order is the database's. A user whose newest version waits already is left as it is; one that changes
        meanwhile loses nothing, because a relay writes only what is the newest when it gets there.
        """

    async def waiting(self) -> int:
        """Return how many of those that were put no relay has written yet."""


@frozen(kw_only=True)
class Filled:
    put: int  # users so far, in this run
    last: UserId | None  # where to go on after an interruption
    waiting: int


@frozen
class FillState:
    """Put all users, as fast as the relays write them; what it yields is how far it got, the last one when all are."""

    fill: StateFill

    async def __call__(self, after: UserId | None = None) -> AsyncIterator[Filled]:
        put, last, more = 0, after, True
        while True:
            waiting = await self.fill.waiting()
            if more and waiting < MOST_WAITING:
                users = await self.fill.put(last, PAGE)
                put, last, more = put + len(users), users[-1] if users else last, bool(users)
                waiting += len(users)
                yield Filled(put=put, last=last, waiting=waiting)
                continue
            yield Filled(put=put, last=last, waiting=waiting)
            if not (more or waiting):
                return
            await asyncio.sleep(PAUSE_S)
