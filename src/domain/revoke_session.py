"""What the end of a session does: the first news counts, and it is never taken back."""

from attrs import frozen

from domain.decision import Outcome
from domain.events import SessionRevoked
from domain.session import RevokedSession


@frozen(kw_only=True)
class SessionDecision:
    """The session as it is kept afterwards, and what to tell others."""

    outcome: Outcome
    session: RevokedSession  # the very object that was decided on when there is nothing to store
    events: tuple[SessionRevoked, ...] = ()


def revoke_session(known: RevokedSession | None, news: RevokedSession) -> SessionDecision:
    """Revoke the session unless it is revoked already: Clerk may tell of one end by two events, and each twice."""
    if known is not None:
        return SessionDecision(outcome=Outcome.UNCHANGED, session=known)
    return SessionDecision(outcome=Outcome.REVOKED, session=news, events=(SessionRevoked(news),))
