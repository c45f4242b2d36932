"""What the use cases need from the world. Each docstring is the contract that the adapters' tests hold."""

from collections.abc import Callable, Mapping
from typing import Protocol

from domain.decision import Decision
from domain.snapshot import Deletion, Snapshot
from domain.user import Known, UserId

Decide = Callable[[Known], Decision]
"""A pure decision with its news bound to it; it may be asked again on a fresher state."""


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
        ...


class UserReader(Protocol):
    """The read path: one user, one statement."""

    async def get(self, user_id: UserId) -> Known:
        """Return what is committed about the user.

        Raises:
            StoreUnavailableError: no answer in time, or no database.
        """
        ...


class WebhookReader(Protocol):
    """Tell a genuine webhook from a forged one, and read the news out of it."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Snapshot | Deletion | None:
        """Return the news; `None` for a genuine event of a kind that does not concern us.

        `headers` has lower-case names; `body` is the bytes exactly as received.

        Raises:
            ForgedWebhookError: whatever is wrong before or with the signature; no other exception for any bytes.
            UnusableWebhookError: genuine, but not what Clerk documents.
        """
        ...


class IdentityProvider(Protocol):
    """Clerk's own word on a user, for those whose webhook has not arrived."""

    async def get(self, user_id: UserId) -> Snapshot | None:
        """Read the user from Clerk; `None` when Clerk has none or may not be asked.

        Raises:
            IdentityProviderUnavailableError: no usable answer in bounded time.
        """
        ...
