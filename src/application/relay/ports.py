"""The ports of relays and of the commands about them. Each docstring is the contract that the adapters' tests check."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from attrs import field, frozen

from application.relay.dead_letters import DeadLetter, OutboxStatus, Repair
from application.relay.lane_leases import LaneShare, LaneTable
from application.relay.messages import DeliveryResults, Pending, RefusedMessage
from domain.user import UserId


class Outbox(Protocol):
    """The stored messages, for a relay. All methods raise StoreUnavailableError."""

    async def oldest(self, lanes: Sequence[int], limit: int, *, published: Collection[Pending] = ()) -> list[Pending]:
        """Delete the `published`, and return up to `limit` messages of these lanes, in the order of `lanes`.

        For each key the lowest stored versions are returned, in order and without a gap: a relay that publishes them in
        this order cannot reorder events.
        """

    async def delete(self, published: Collection[Pending]) -> None:
        """Delete messages that the broker has acknowledged; one that is deleted already is no error."""

    async def delete_overtaken(self, published: Collection[Pending]) -> None:
        """Delete messages as `delete`, except those that have their user's newest version at this moment."""

    async def move_to_dead_letters(self, refusals: Collection[RefusedMessage]) -> None:
        """Move refused messages to the dead letters in one step, with the error; later versions are still sent."""


class Publisher(Protocol):
    """Kafka, for a relay."""

    async def publish(self, batch: Sequence[Pending]) -> DeliveryResults:
        """Send the batch, pipelined and in order, and return when each message's result is known or the time is up.

        A failure of the brokers is not raised but returned as `outage`, and the next call uses a new connection. After
        a message of a key that did not arrive, no later one of that key arrives, unless the earlier one was refused.
        """


class LaneLeases(Protocol):
    """The leases, in the database. All methods raise StoreUnavailableError."""

    async def read(self, relay: str) -> LaneTable:
        """Record that `relay` is alive, and return the current leases."""

    async def write(self, relay: str, share: LaneShare) -> frozenset[int]:
        """Renew or take `hold`, give up `release`; return the lanes now held: if two relays take one, one gets it."""

    async def leave(self, relay: str) -> None:
        """Give up every lane, and remove the relay from the list."""


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

    async def newest(self, batch: Sequence[Pending], writer: str) -> frozenset[int]:
        """Return the ids of the messages that have the newest version of their user, from one snapshot.

        Raises FencedError: one of their lanes has another writer, or none because a failover lost the claim.
        """


class StateFill(Protocol):
    """Queues users for the relays that write the state topic, which keep the order. Raises StoreUnavailableError."""

    async def put(self, after: UserId | None, limit: int) -> Sequence[UserId]:
        """Queue the state of the next `limit` users after `after`, deleted ones too, for a relay; return their ids.

        The order is the database's. A user whose newest version waits already is not queued again; one that
        changes meanwhile is safe, because a relay writes only the version that is the newest at that time.
        """

    async def waiting(self) -> int:
        """Return how many queued users no relay has written yet."""


class OutboxAdministration(Protocol):
    """The outbox for its operator. All methods raise StoreUnavailableError when there is no database."""

    async def status(self) -> OutboxStatus:
        """Read its state; the cost grows with the number of waiting events, about 0.6 s for a million events."""

    async def dead(self, *, limit: int, discarded: bool = False) -> Sequence[DeadLetter]:
        """Return up to `limit` dead letters, the newest first; with `discarded` also the discarded ones."""

    async def retry(self, ids: Sequence[int]) -> Mapping[int, Repair]:
        """Put these dead letters back into the outbox, unchanged and with the same event id.

        Returns the result of each, by id: one that cannot be retried does not affect the others. A letter whose
        user is deleted is never put back, not even when the deletion happens at the same time.
        """

    async def discard(self, ids: Sequence[int], reason: str) -> Mapping[int, Repair]:
        """Discard these dead letters: record and reason stay, the payload is erased. Returns as `retry` does."""


@frozen(kw_only=True)
class Record:
    """One message of a topic."""

    partition: int
    offset: int
    key: bytes | None = None
    headers: Mapping[str, str] = {}  # the last of each name, unless it has no value; invalid UTF-8 is replaced
    value: bytes | None = field(default=None, repr=False)
    timestamp: int = 0  # when it was written, ms: by the producer's clock or the broker's, as the topic is set
    rolled_back: bool = False  # its transaction was aborted: consumers with `read_committed` do not see it
    readable: bool = True  # False if it cannot be parsed (a header's name is not UTF-8): the rest is unknown


class TopicTail(Protocol):
    """All partitions, each in its order, without a consumer group: no offset is committed."""

    async def next(self) -> Record:
        """Wait for the next message, without a timeout; BrokerUnavailableError: the brokers refuse.

        A message that cannot be parsed is returned once, with `readable` false, and skipped.
        """

    async def length(self) -> int:
        """Return how many messages were written to the topic in total."""


class OpenTopicTail(Protocol):
    """Opens the topic's tail, and closes it at the end of the block."""

    def __call__(self, *, from_beginning: bool) -> AbstractAsyncContextManager[TopicTail]:
        """Start at the topic's beginning, or at its end: then the next message is one written after entering.

        Entering raises BrokerUnavailableError: the brokers are unreachable or refuse, or there is no such topic.
        """
