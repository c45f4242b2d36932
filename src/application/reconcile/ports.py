"""The ports of reconciling, beside those of users. Each docstring is the contract that the adapters' tests check."""

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import field, frozen

from application.reconcile.drift import Drift
from domain.user import UserId


@frozen(kw_only=True)
class Checkpoint:
    """What an interrupted run saves for the next."""

    began_at: int
    created_from: int | None  # where to continue reading, ms; None when the whole list has been read
    gone: tuple[UserId, ...]  # whom Clerk no longer has, and who are not deleted yet: at most as many as may be deleted
    listed: int
    moved: int
    found: dict[Drift, int]
    repaired: dict[Drift, int]


class Checkpoints(Protocol):
    """Where the unfinished run is kept: there is one at most. All methods raise StoreUnavailableError."""

    async def take(self, run: str, *, began_after: int) -> Checkpoint | None:
        """Make `run` the unfinished run; return the checkpoint of the one before, unless that began too long ago (ms).

        If the one before still runs, it is no longer the unfinished run: it continues and saves nothing.
        """

    async def save(self, run: str, checkpoint: Checkpoint) -> None:
        """Save the progress of `run`, if it is still the unfinished run."""

    async def finish(self, run: str) -> None:
        """Delete the checkpoint of `run`, if it is still the unfinished run."""


@frozen
class Seen:
    """What a consumer has of a user: the first record of the highest version."""

    version: int
    user: Mapping[str, Any] = field(repr=False)  # `data.user` of the event


class ReadSeen(Protocol):
    async def __call__(self, since_ms: int) -> Mapping[UserId, Seen]:
        """Read the topic from this time (ms) to its current end; BrokerUnavailableError: no access, or no topic."""
