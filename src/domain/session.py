"""A session that ended at Clerk before the tokens that name it expire."""

import re
from typing import NewType

from attrs import frozen

from domain.user import UserId

SessionId = NewType("SessionId", str)  # Clerk's session id (`sess_…`), as a session token carries it in `sid`

SESSION_ID = re.compile(r"[!-~]{1,255}")
"""Whatever `anomalyze_auth` accepts as a token's `sid`: a session that a token can name must be revocable."""

TOKEN_LIFETIME_MS = 3_600_000
"""How long a revocation is kept after it was recorded. A token lives for 60 s unless an instance says otherwise."""


class InvalidSessionIdError(ValueError):
    """The text is not a session id."""


def parse_session_id(text: object) -> SessionId:
    """Return a session id, or raise InvalidSessionIdError: `text` is not 1 to 255 visible ASCII characters."""
    if not isinstance(text, str) or not SESSION_ID.fullmatch(text):
        raise InvalidSessionIdError("not a Clerk session id (1 to 255 visible ASCII characters)")
    return SessionId(text)


@frozen(kw_only=True)
class RevokedSession:
    """A session whose tokens are refused from now on: signed out, removed, or revoked. Nothing else is kept of it."""

    id: SessionId
    user_id: UserId
    revoked_at: int  # when it ended at Clerk, in milliseconds
