"""Where data of one user is: the database and the topics. Each docstring is the contract of the adapters' tests."""

from collections.abc import Sequence
from typing import Protocol

from attrs import field, frozen

from application.relay.ports import Record
from domain.user import UserId


@frozen(kw_only=True)
class StoredEvent:
    """An event of the user that is in the database: it waits for a relay, or Kafka refused it. Times are ms."""

    version: int
    type: str
    occurred_at: int
    payload: bytes | None = field(repr=False)  # None when erased: the user was deleted, or the dead letter discarded
    traceparent: str | None
    stored_at: int


@frozen(kw_only=True)
class WaitingEvent(StoredEvent):
    state_only: bool  # it was published, or is no event, and waits for the state topic


@frozen(kw_only=True)
class DeadEvent(StoredEvent):
    id: int
    error: str
    died_at: int
    discarded_at: int | None


@frozen(kw_only=True)
class EndedSession:
    id: str
    revoked_at: int
    recorded_at: int  # by the database's clock


@frozen(kw_only=True)
class StoredTraces:
    waiting: Sequence[WaitingEvent] = ()
    dead: Sequence[DeadEvent] = ()
    sessions: Sequence[EndedSession] = ()
    waiting_sessions: int = 0  # events of ended sessions that wait for a relay
    dead_sessions: int = 0  # events of ended sessions that Kafka refused and nobody has discarded


class StoredTracesReader(Protocol):
    """What the database holds of a user besides the row."""

    async def of_user(self, user_id: UserId) -> StoredTraces:
        """Return events in version order, and ended sessions, from one snapshot; StoreUnavailableError: no answer."""


@frozen(kw_only=True)
class TopicSearch:
    """What a topic holds of a user, as it was when the search began."""

    topic: str
    partitions: int  # how many the topic has; 0 when there is no such topic
    searched: Sequence[int]  # those that were read
    records: Sequence[Record] = ()  # by partition, by offset; one that is not `readable` may be of any user


class SearchTopics(Protocol):
    """Reads topics to their current end, outside of groups, for one user's records; raises BrokerUnavailableError."""

    async def by_key(self, topic: str, key: str, *, all_partitions: bool, rolled_back: bool = False) -> TopicSearch:
        """Return the records of this key.

        Only the partition that the key has now is read, unless `all_partitions`: with fewer partitions, the key had
        another one. Records of transactions that were rolled back are left out, unless `rolled_back`: no consumer sees
        them, but they are on the brokers' disks.
        """

    async def mentioning(self, topic: str, text: str) -> TopicSearch:
        """Return the records of any key that have this text in quotation marks in their value."""
