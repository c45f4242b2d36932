"""The state of the outbox for an operator, and what was done about a dead letter."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from attrs import frozen

from application.relay.lane_leases import LEASE_S


@frozen(kw_only=True)
class LaneBacklog:
    lane: int
    owner: str | None  # the relay that holds its lease
    waiting: int  # events that Kafka has not acknowledged
    oldest_s: float | None  # age of the oldest of them, seconds


@frozen(kw_only=True)
class VacuumBlocker:
    """What keeps PostgreSQL from removing deleted rows: the outbox then grows on disk although it is empty."""

    kind: str  # `session`, `prepared transaction` or `replication slot`
    name: str  # process id and application name, or the transaction's or slot's name
    age_s: float | None  # how long its transaction has run, seconds; None for a slot


@frozen(kw_only=True)
class OutboxStatus:
    """One reading, all values from about the same time."""

    read_at: float  # seconds since 1970, by the database's clock
    stored: int  # events ever stored
    lanes: Sequence[LaneBacklog]
    dead: int  # dead letters that were neither retried nor discarded
    relays: Mapping[str, float]  # seconds since each relay was last seen
    vacuum_blocker: VacuumBlocker | None  # the oldest transaction that has blocked vacuum for over a minute

    @property
    def waiting(self) -> int:
        return sum(lane.waiting for lane in self.lanes)

    @property
    def oldest_s(self) -> float:
        """Age of the oldest waiting event, seconds; 0 if none waits."""
        return max((lane.oldest_s for lane in self.lanes if lane.oldest_s is not None), default=0.0)

    @property
    def alive(self) -> Collection[str]:
        """The relays that were seen within the duration of a lease."""
        return [name for name, seen_s in self.relays.items() if seen_s <= LEASE_S]


def publish_rate(before: OutboxStatus, after: OutboxStatus) -> float:
    """Return events per second that were published between two readings."""
    seconds = after.read_at - before.read_at
    left = (after.stored - before.stored) - (after.waiting - before.waiting) - (after.dead - before.dead)
    return max(0.0, left / seconds) if seconds > 0 else 0.0


@frozen(kw_only=True)
class DeadLetter:
    """An event that Kafka refused permanently, without its data."""

    id: int
    key: str
    version: int
    event_id: UUID
    type: str
    error: str
    attempts: int
    created_at: datetime
    died_at: datetime
    erased: bool  # its payload is gone: its user was deleted, or it was discarded
    discarded_at: datetime | None
    discard_reason: str | None


class Repair(StrEnum):
    """The result for one dead letter that an operator named."""

    RETRIED = "retried"
    OVERTAKEN = "retried; a later version is out already, so consumers that saw it will drop this one"
    DISCARDED = "discarded"
    UNKNOWN = "there is no such dead letter"
    GONE = "was discarded before, and its payload erased"
    ERASED = "cannot be retried: its user was deleted and its payload erased"

    @property
    def done(self) -> bool:
        return self in {Repair.RETRIED, Repair.OVERTAKEN, Repair.DISCARDED}
