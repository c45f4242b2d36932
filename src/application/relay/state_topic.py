"""The state topic: each user's newest version, and nothing once the user is gone. What a relay needs to feed it.

Compaction keeps the last record of a key, so an old version behind a newer one would stay for ever, and an old profile
behind a tombstone would bring erased data back. Consumers cannot repair that; it must not happen (ADR 0017).
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from application.relay.messages import DeliveryResults, Pending


class FencedError(Exception):
    """This writer may not write any more: another relay took lanes over, and nothing it had in hand counts."""


class StatePublisher(Protocol):
    """Kafka's state topic, written by one writer at a time; a writer that failed is replaced, never used again."""

    async def writer(self) -> str:
        """Return the ready writer, or a new one of a new name; BrokerUnavailableError: no Kafka, or no topic."""

    async def fence(self, writers: Collection[str]) -> None:
        """Bar these writers: nothing of theirs can land afterwards; BrokerUnavailableError: some may not be barred."""

    async def publish(self, writer: str, batch: Sequence[Pending]) -> DeliveryResults:
        """Write the state that these messages carry, at most one of each user, all or nothing of it but the refused.

        A failure of the brokers is not raised but returned as `outage`; what is in neither list is to be tried again.
        Raises FencedError: `writer` is not the one that is ready, or it was barred.
        """


class StateLanes(Protocol):
    """Who may write the state of which lane, in the database. All methods raise StoreUnavailableError without one."""

    async def writers(self, lanes: Collection[int], *, but: str) -> frozenset[str]:
        """Return everyone who may write the state of these lanes, except `but`."""

    async def claim(self, relay: str, lanes: Collection[int], writer: str, fenced: Collection[str]) -> frozenset[int]:
        """Make `writer` the one that may write these lanes' state, and return the lanes where that was done.

        Only lanes that `relay` holds and whose writer until now is nobody, `writer` itself or one of `fenced`.
        """

    async def newest(self, batch: Sequence[Pending]) -> frozenset[int]:
        """Return the ids of the messages that carry the newest version there is of their user, read at one moment."""


def fill_lane(lane: int) -> int:
    """Return where a lane's messages wait that go to the state topic alone; relays that do not feed it never look."""
    return ~lane


def for_state_only(pending: Pending) -> bool:
    return pending.lane < 0
