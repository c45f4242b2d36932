"""What the use cases need from the world. Each docstring is the contract that the adapters' tests hold."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from domain.decision import Decision
from domain.session import RevokedSession, SessionId
from domain.snapshot import Deletion, Snapshot
from domain.user import Known, Tombstone, User, UserId

Decide = Callable[[Known], Decision]  # a pure decision, bound to its news; it may be asked again on a fresher state


class UserStore(Protocol):
    """The write path: one user's state and its events, stored together or not at all."""

    async def change(self, user_id: UserId, decide: Decide) -> Decision:
        """Decide on the user's current state, store what was decided, and return after COMMIT.

        The new state and its events become visible in one moment; events of one user are numbered and ordered by
        version. Concurrent changes of one user, in this process or another, behave as if one came after the other:
        `decide` sees the state that it changes. Nothing is written when the decision returns the state it was given.

        Raises:
            StoreBusyError: too many changes wait already; nothing was tried.
            StoreUnavailableError: no answer in time, or no database; trying again is safe.
            UnstorableError: this change can never be stored; others are not affected.
        """


@frozen
class SignedIn:
    """What is known of whoever sends a session token."""

    user: Known
    revoked: bool  # the session ended; its tokens are refused
    behind_s: float | None = 0.0  # how far behind the primary it may be, seconds; None: it follows nobody


@frozen(kw_only=True)
class DatabaseLoad:
    """One reading of how busy this process keeps PostgreSQL."""

    waiting_changes: int  # changes of users that have no answer yet
    connections_in_use: int
    connections_idle: int


class UserReader(Protocol):
    """The read path: one user, one statement, of what is committed. Both methods raise StoreUnavailableError."""

    async def get(self, user_id: UserId) -> Known:
        """Return the user."""

    async def signed_in(self, user_id: UserId, session_id: SessionId) -> SignedIn:
        """Return the user, and whether this session of the user is revoked; the user need not be known for that."""


class UserDirectory(Protocol):
    """The read path for many users, of what is committed; unknown ones are missing. All raise StoreUnavailableError."""

    async def get_many(self, user_ids: Collection[UserId]) -> Mapping[UserId, User | Tombstone]:
        """Return those of these users that we know, the deleted ones as tombstones."""

    async def by_email(self, email: str, *, limit: int) -> Sequence[User]:
        """Return up to `limit` users with this primary email, whatever the case of its letters, ordered by id."""

    async def page(
        self, *, after: UserId | None, limit: int, banned: bool | None = None, locked: bool | None = None
    ) -> Sequence[User]:
        """Return up to `limit` living users beyond `after`, ordered by id.

        The order is the database's, so go on after the last one returned and compare no ids. A flag that is `None`
        does not matter.
        """


class ReplicaReader(Protocol):
    """The read path at copies of the primary that follow it; each answer with how far behind it was, as `SignedIn`.

    All raise StoreUnavailableError: no replica is in use, which is known at once, or none answered within a second.
    """

    async def signed_in(self, user_id: UserId, session_id: SessionId | None) -> SignedIn:
        """See `UserReader.signed_in`; without a session none is revoked."""

    async def get_many(self, user_ids: Collection[UserId]) -> tuple[Mapping[UserId, User | Tombstone], float | None]:
        """See `UserDirectory.get_many`."""

    async def by_email(self, email: str, *, limit: int) -> tuple[Sequence[User], float | None]:
        """See `UserDirectory.by_email`; of nobody it is not known how far behind the answer was."""


class WebhookReader(Protocol):
    """Tell a genuine webhook from a forged one, and read the news out of it."""

    def in_time(self, headers: Mapping[str, str]) -> bool:
        """Tell by the headers whether it was sent about now; ForgedWebhookError: they are no signed webhook's."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Snapshot | Deletion | RevokedSession | None:
        """Return the news; `None` for a genuine event of a kind that does not concern us.

        `headers` has lower-case names; `body` is the bytes exactly as received.

        Raises:
            ForgedWebhookError: whatever is wrong before or with the signature; no other exception for any bytes.
            UnusableWebhookError: genuine, but not what Clerk documents.
        """


class ClerkUsers(Protocol):
    """Clerk's users, and the actions on them.

    Whatever is asked is answered or given up in bounded time. Only what can be asked twice is: a look-up, and an
    action whose second time changes nothing. A snapshot's place in time is that of the reading, taken before the
    question was sent, so that news that Clerk published meanwhile is never older than it.

    Every method raises:
        ClerkUnavailableError: no usable answer in bounded time; for an action, whether it was done is
            unknown, and asking again is safe. `ClerkLimitedError` when Clerk said how long to wait.
        ClerkRefusedError: Clerk will not do it, with its own codes.
        ClerkNotConfiguredError: there is no key to ask with.
    """

    async def get(self, user_id: UserId) -> Snapshot | None:
        """Read the user from Clerk; `None` when Clerk has none. What Clerk refuses is unavailable."""

    async def page(self, *, created_from: int, offset: int, limit: int) -> "Sequence[Listed]":
        """Read users from `created_from` (ms, inclusive), oldest first, at most 500; `Unreadable` where we cannot."""

    async def recently_updated(self, *, offset: int, limit: int) -> "Sequence[Listed]":
        """Read users by time of change, newest first, at most 500 of them."""

    async def count(self) -> int:
        """Tell how many users Clerk has."""

    async def set_banned(self, user_id: UserId, *, banned: bool) -> Snapshot:
        """Ban or unban; return the user as Clerk has it. All actions raise UserUnknownError: Clerk has no such user."""

    async def set_locked(self, user_id: UserId, *, locked: bool) -> Snapshot:
        """Lock or unlock the user, and return the user as Clerk has it afterwards."""

    async def merge_public_metadata(self, user_id: UserId, patch: Mapping[str, Any]) -> Snapshot:
        """Merge `patch` into the public metadata, deeply; a key set to null goes (Clerk, PATCH …/metadata)."""

    async def active_sessions(self, user_id: UserId) -> Collection[SessionId]:
        """Return the user's active sessions; none of a user that Clerk does not have."""

    async def revoke_sessions(self, user_id: UserId, ended: Callable[[SessionId], object]) -> None:
        """End every active session of the user, and tell `ended` of each, also when a later one cannot be ended."""

    async def delete(self, user_id: UserId) -> Deletion:
        """Delete the user at Clerk, for good."""


@frozen(kw_only=True)
class Unreadable:
    """A user that Clerk lists, in a shape that Clerk does not document."""

    id: UserId
    created_at: int | None  # milliseconds since 1970, when at least that can be read
    reason: str  # which field, never its value


Listed = Snapshot | Unreadable
