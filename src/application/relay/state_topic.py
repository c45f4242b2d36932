"""The state topic: each user's newest version, and nothing for a deleted user; the ports for writing it.

Compaction keeps the last record of a key, so an old version after a newer one would stay, and an old profile after a
tombstone would restore erased data. Consumers cannot repair that; it must not happen (ADR 0017).
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from application.relay.messages import DeliveryResults, Pending


class FencedError(Exception):
    """This writer may not write any more: another relay took over lanes, and its unfinished batch has no effect."""


class StatePublisher(Protocol):
    """Kafka's state topic, written by one writer at a time; a writer that failed is replaced, never used again."""

    async def writer(self) -> str:
        """Return the ready writer, or a new one with a new name; BrokerUnavailableError: no Kafka, or no topic."""

    async def fence(self, writers: Collection[str]) -> None:
        """Fence these writers: they can write nothing afterwards; BrokerUnavailableError: some may not be fenced."""

    async def publish(self, writer: str, batch: Sequence[Pending]) -> DeliveryResults:
        """Write the state in these messages, at most one of each user: all except refused ones, or none.

        A failure of the brokers is not raised but returned as `outage`; a message in neither list is to be retried.
        Raises FencedError: `writer` is not the ready one, or was fenced.
        """


class StateLanes(Protocol):
    """Which writer may write the state of which lane, in the database. All methods raise StoreUnavailableError."""

    async def writers(self, lanes: Collection[int], *, but: str) -> frozenset[str]:
        """Return every writer that may write the state of these lanes, except `but`."""

    async def claim(self, relay: str, lanes: Collection[int], writer: str, fenced: Collection[str]) -> frozenset[int]:
        """Make `writer` the only writer of these lanes' state, and return the lanes where that was done.

        Only lanes that `relay` holds and whose current writer is none, `writer` itself or one of `fenced`.
        """

    async def newest(self, batch: Sequence[Pending]) -> frozenset[int]:
        """Return the ids of the messages that have the newest version of their user, from one snapshot."""


def fill_lane(lane: int) -> int:
    """Return the lane of messages for the state topic alone; relays that do not write that topic never read it."""
    return ~lane


def for_state_only(pending: Pending) -> bool:
    return pending.lane < 0
