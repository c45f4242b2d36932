"""The ports of the use cases of sessions. Each docstring is the contract that the adapters' tests check."""

from collections.abc import Callable
from typing import Protocol

from domain.revoke_session import SessionDecision
from domain.session import RevokedSession, SessionId
from domain.user import UserId

Decide = Callable[[RevokedSession | None], SessionDecision]
"""A pure decision, with its arguments bound; it may be called again with a newer state."""


class SessionStore(Protocol):
    """The write path: a revoked session and its event, stored together or not at all."""

    async def change(self, user_id: UserId, session_id: SessionId, decide: Decide) -> SessionDecision:
        """Decide on the stored state of the session, store the result, and return after COMMIT.

        Of concurrent changes of one session, in this process or another, one stores its decision; the others are called
        again with what that one stored. The user need not be known. Nothing is written if the decision returns the
        state that it was called with.

        Raises:
            StoreBusyError: too many changes wait already; nothing was tried.
            StoreUnavailableError: no answer in time, or no database; a retry is safe.
            UnstorableError: this change can never be stored; others are not affected.
        """


class SessionCleaner(Protocol):
    """Removes revoked sessions that no token can name any more."""

    async def forget(self, *, after_ms: int) -> int:
        """Remove the oldest sessions that were recorded longer ago than `after_ms`, and return how many.

        One short statement, which several processes may run at once. Raises StoreUnavailableError.
        """
