"""What the end of a session does: the first report counts, and it is never undone."""

from attrs import frozen

from domain.decision import Outcome
from domain.events import SessionRevoked
from domain.session import RevokedSession


@frozen(kw_only=True)
class SessionDecision:
    """The session as stored afterwards, and the events to publish."""

    outcome: Outcome
    session: RevokedSession  # the object that was passed in when there is nothing to store
    events: tuple[SessionRevoked, ...] = ()


def revoke_session(known: RevokedSession | None, news: RevokedSession) -> SessionDecision:
    """Revoke the session unless it is revoked already: Clerk may report one end by two events, each twice."""
    if known is not None:
        return SessionDecision(outcome=Outcome.UNCHANGED, session=known)
    return SessionDecision(outcome=Outcome.REVOKED, session=news, events=(SessionRevoked(news),))
