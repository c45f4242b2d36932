"""Revoked sessions and the state of users, in bounded memory; pure, without a clock and without Kafka."""

from collections import deque

import attrs

from anomalyze_auth.errors import Reason
from anomalyze_auth.events import UnknownEvent, UserDeleted, UserEvent
from anomalyze_auth.sessions import SessionRevoked

_STEP = 1.0  # ids that arrive within this many seconds are forgotten together


@attrs.define
class _Arrivals:
    forgotten_at: float
    sessions: list[str] = attrs.field(factory=list)
    users: list[str] = attrs.field(factory=list)


class Revoked:
    """Ended sessions, and the newest known state of users, each for `keep` seconds.

    The result does not depend on the order and repetition of events: an ended session stays ended; of a user the
    highest version counts, and a deletion overrides every version. Users who are neither banned nor deleted are kept
    too, for their version: otherwise a ban that is delivered again after an unban would count.

    Args:
        keep: seconds; longer than a token is valid after the event about its session was published.
        most: sessions and users together. Beyond that, events are dropped, and answers are incomplete until
            `overflow_until`: by then every token that they concern has expired.
    """

    def __init__(self, *, keep: float, most: int) -> None:
        self._keep = keep
        self._most = most
        self._sessions: set[str] = set()
        # Version, verdict, time to forget; a set and plain tuples take half the memory of attrs values.
        self._users: dict[str, tuple[int, Reason | None, float]] = {}
        self._arrivals: deque[_Arrivals] = deque()
        self.overflow_until = float("-inf")
        self.dropped = 0

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    @property
    def users(self) -> int:
        return len(self._users)

    def verdict(self, session_id: str, user_id: str) -> Reason | None:
        """Why a token with these ids must be refused; None if it is not known to be revoked."""
        user = self._users.get(user_id)
        if user is not None and user[1] is not None:
            return user[1]
        return Reason.SESSION_REVOKED if session_id in self._sessions else None

    def apply(self, event: SessionRevoked | UserEvent | UnknownEvent, now: float) -> None:
        """Apply an event that arrived at `now` (monotonic seconds)."""
        if isinstance(event, UnknownEvent):
            return
        if isinstance(event, SessionRevoked):
            if event.session_id not in self._sessions and self._has_room(now):
                self._sessions.add(event.session_id)
                self._arrivals_of(now).sessions.append(event.session_id)
            return
        user_id, verdict = event.user_id, _verdict(event)
        known = self._users.get(user_id)
        if known is None:
            if not self._has_room(now):
                return
            self._arrivals_of(now).users.append(user_id)
        elif known[1] is Reason.USER_DELETED or (event.version <= known[0] and verdict is not Reason.USER_DELETED):
            return
        self._users[user_id] = (event.version, verdict, self._arrivals_of(now).forgotten_at)

    def forget(self, now: float) -> None:
        """Drop what was kept for `keep` seconds."""
        while self._arrivals and self._arrivals[0].forgotten_at <= now:
            old = self._arrivals.popleft()
            self._sessions.difference_update(old.sessions)
            for user_id in old.users:
                if self._users[user_id][2] <= now:
                    del self._users[user_id]
                else:  # it changed since
                    self._arrivals_of(now).users.append(user_id)

    def _has_room(self, now: float) -> bool:
        if len(self._sessions) + len(self._users) < self._most:
            return True
        self.dropped += 1
        self.overflow_until = now + self._keep
        return False

    def _arrivals_of(self, now: float) -> _Arrivals:
        if not self._arrivals or self._arrivals[-1].forgotten_at < now + self._keep:
            self._arrivals.append(_Arrivals(now + self._keep + _STEP))
        return self._arrivals[-1]


def _verdict(event: UserEvent) -> Reason | None:
    if isinstance(event, UserDeleted):
        return Reason.USER_DELETED
    return Reason.USER_BANNED if event.user.banned else None
