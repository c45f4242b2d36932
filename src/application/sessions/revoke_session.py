"""Record that a session ended, so that its tokens are refused from now on."""

import asyncio
from collections.abc import Iterable
from functools import partial

from attrs import frozen

from application.sessions.ports import SessionStore
from domain.revoke_session import SessionDecision, revoke_session
from domain.session import RevokedSession


@frozen
class RevokeSession:
    sessions: SessionStore

    async def __call__(self, news: RevokedSession) -> SessionDecision:
        """Return after COMMIT; `unchanged` when it was recorded before. Raises as `SessionStore.change`."""
        return await self.sessions.change(news.user_id, news.id, partial(revoke_session, news=news))

    async def each(self, ended: Iterable[RevokedSession]) -> None:
        """Record all of them together; one that fails does not prevent the others, and is raised afterwards."""
        results = await asyncio.gather(*map(self, ended), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
