"""Forget revoked sessions that no token can name any more, a few at a time."""

import asyncio
from contextlib import suppress

from attrs import frozen

from application.errors import StoreUnavailableError
from application.sessions.ports import SessionCleaner
from domain.session import TOKEN_LIFETIME_MS

EVERY_S = 60.0
PAUSE_S = 0.1  # between two removals while there is more to remove, so that writes need not wait for them


@frozen
class ForgetSessions:
    sessions: SessionCleaner

    async def __call__(self) -> None:
        """Run until cancelled. While the database is unavailable nothing is removed; later runs remove more."""
        while True:
            removed = 0
            with suppress(StoreUnavailableError):
                removed = await self.sessions.forget(after_ms=TOKEN_LIFETIME_MS)
            await asyncio.sleep(PAUSE_S if removed else EVERY_S)
