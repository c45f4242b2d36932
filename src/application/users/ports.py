"""The ports of the use cases of users. Each docstring is the contract that the adapters' tests check."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from domain.decision import Decision
from domain.session import RevokedSession, SessionId
from domain.snapshot import Deletion, Snapshot
from domain.user import Known, Tombstone, User, UserId

Decide = Callable[[Known], Decision]  # a pure decision, its arguments bound; it may be called again with a newer state


class UserStore(Protocol):
    """The write path: one user's state and its events, stored together or not at all."""

    async def change(self, user_id: UserId, decide: Decide) -> Decision:
        """Decide on the user's current state, store the result, and return after COMMIT.

        The new state and its events become visible together; events of one user are numbered and ordered by version.
        Concurrent changes of one user, in this process or another, are serialised: `decide` gets the state that it
        changes. Nothing is written if the decision returns the state that it was called with.

        Raises:
            StoreBusyError: too many changes wait already; nothing was tried.
            StoreUnavailableError: no answer in time, or no database; a retry is safe.
            UnstorableError: this change can never be stored; others are not affected.
        """


@frozen
class SignedIn:
    """What is stored about the sender of a session token."""

    user: Known
    revoked: bool  # the session ended; its tokens are refused
    behind_s: float | None = 0.0  # how far behind the primary it may be, seconds; None: the server follows no primary


@frozen(kw_only=True)
class DatabaseLoad:
    """One reading of how busy this process keeps PostgreSQL."""

    waiting_changes: int  # changes of users that are not answered yet
    connections_in_use: int
    connections_idle: int


class UserReader(Protocol):
    """The read path: one user, one statement, committed data only. Both methods raise StoreUnavailableError."""

    async def get(self, user_id: UserId) -> Known:
        """Return the user."""

    async def signed_in(self, user_id: UserId, session_id: SessionId) -> SignedIn:
        """Return the user, and whether this session of the user is revoked; the user need not be known for that."""


@frozen(order=True)
class CreationKey:
    """A place among our living users, in the order of their creation at Clerk."""

    created_at: int  # milliseconds since 1970
    user_id: UserId


class UserDirectory(Protocol):
    """The read path for many users, committed data only; unknown users are omitted. All raise StoreUnavailableError."""

    async def get_many(self, user_ids: Collection[UserId]) -> Mapping[UserId, User | Tombstone]:
        """Return the known ones of these users, deleted ones as tombstones."""

    async def by_email(self, email: str, *, limit: int) -> Sequence[User]:
        """Return up to `limit` users with this primary email, ignoring case, ordered by id."""

    async def page(
        self, *, after: UserId | None, limit: int, banned: bool | None = None, locked: bool | None = None
    ) -> Sequence[User]:
        """Return up to `limit` living users beyond `after`, ordered by id.

        The order is the database's, so continue after the last one returned and do not compare ids. A flag of `None`
        does not filter.
        """

    async def created(self, after: CreationKey, before: int, limit: int) -> Sequence[CreationKey]:
        """Return up to `limit` positions after `after`, in order, of living users created before `before` (ms)."""

    async def count(self) -> int:
        """Return how many living users there are."""

    async def sample(self) -> Sequence[UserId]:
        """Return up to ten living users, the oldest and the newest."""


class ReplicaReader(Protocol):
    """The read path at standbys of the primary; each answer says how far behind it was, as in `SignedIn`.

    All raise StoreUnavailableError: no replica is in use (raised at once), or none answered within a second.
    """

    async def signed_in(self, user_id: UserId, session_id: SessionId | None) -> SignedIn:
        """See `UserReader.signed_in`; without a session none is revoked."""

    async def get_many(self, user_ids: Collection[UserId]) -> tuple[Mapping[UserId, User | Tombstone], float | None]:
        """See `UserDirectory.get_many`."""

    async def by_email(self, email: str, *, limit: int) -> tuple[Sequence[User], float | None]:
        """See `UserDirectory.by_email`; an empty answer does not say how far behind it was."""


class WebhookReader(Protocol):
    """Tell a genuine webhook from a forged one, and parse its content."""

    def in_time(self, headers: Mapping[str, str]) -> bool:
        """Tell by the headers whether it was sent recently; ForgedWebhookError: they are no signed webhook's."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Snapshot | Deletion | RevokedSession | None:
        """Return the parsed content; `None` for a genuine event of an ignored type.

        `headers` has lower-case names; `body` is the bytes exactly as received.

        Raises:
            ForgedWebhookError: any defect found before or in the signature; no other exception for any bytes.
            UnusableWebhookError: genuine, but not what Clerk documents.
        """


class ClerkUsers(Protocol):
    """Clerk's users, and the actions on them.

    Every call ends in bounded time. Only idempotent requests are retried: a look-up, and an action whose repetition
    changes nothing. The timestamp of a snapshot is taken before the request is sent, so that changes that Clerk
    publishes meanwhile are never older than the snapshot.

    Every method raises:
        ClerkUnavailableError: no usable answer in bounded time; whether an action was done is
            unknown, and a retry is safe. `ClerkLimitedError` when Clerk said how long to wait.
        ClerkRefusedError: Clerk refuses, with its own codes.
        ClerkNotConfiguredError: CLERK_SECRET_KEY is not set.
    """

    async def get(self, user_id: UserId) -> Snapshot | None:
        """Read the user from Clerk; `None` if Clerk has none. A refusal counts as ClerkUnavailableError."""

    async def page(self, *, created_from: int, offset: int, limit: int) -> "Sequence[Listed]":
        """Read users from `created_from` (ms, inclusive), oldest first, at most 500; `Unreadable` for other shapes."""

    async def recently_updated(self, *, offset: int, limit: int) -> "Sequence[Listed]":
        """Read users by time of change, newest first, at most 500 of them."""

    async def count(self) -> int:
        """Return how many users Clerk has."""

    async def set_banned(self, user_id: UserId, *, banned: bool) -> Snapshot:
        """Ban or unban; return the user as Clerk has it. All actions raise UserUnknownError: Clerk has no such user."""

    async def set_locked(self, user_id: UserId, *, locked: bool) -> Snapshot:
        """Lock or unlock the user, and return the user as Clerk has it afterwards."""

    async def merge_public_metadata(self, user_id: UserId, patch: Mapping[str, Any]) -> Snapshot:
        """Merge `patch` into the public metadata, deeply; a key set to null is removed (Clerk, PATCH …/metadata)."""

    async def active_sessions(self, user_id: UserId) -> Collection[SessionId]:
        """Return the user's active sessions; none for a user that Clerk does not have."""

    async def revoke_sessions(self, user_id: UserId, ended: Callable[[SessionId], object]) -> None:
        """End every active session of the user, and call `ended` for each, also if a later one cannot be ended."""

    async def delete(self, user_id: UserId) -> Deletion:
        """Delete the user at Clerk, permanently."""


@frozen(kw_only=True)
class Unreadable:
    """A user in Clerk's list, in an undocumented shape."""

    id: UserId
    created_at: int | None  # milliseconds since 1970, if at least that can be read
    reason: str  # which field, never its value


Listed = Snapshot | Unreadable
