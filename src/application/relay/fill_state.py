"""Write the state of users without waiting events: after the state topic was enabled, or was created again."""

import asyncio
from collections.abc import AsyncIterator

from attrs import frozen

from application.relay.ports import StateFill
from domain.user import UserId

PAGE = 1000  # users in one statement
MOST_WAITING = 10_000  # more are not queued: waiting rows take space in the outbox and do not make the relays faster

PAUSE_S = 0.2


@frozen(kw_only=True)
class Filled:
    put: int  # users so far, in this run
    last: UserId | None  # where to continue after an interruption
    waiting: int


@frozen
class FillState:
    """Queue all users, as fast as the relays write them; yields the progress, the last time when all are written."""

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
