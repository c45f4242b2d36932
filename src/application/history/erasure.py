"""Which personal data of a user is left in each place, and by when it is removed."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import groupby

from attrs import frozen

from application.counting import counted
from application.history.ports import SearchTopics, StoredTraces, StoredTracesReader, TopicSearch
from application.history.user_history import document_of, is_tombstone
from application.relay.ports import Record
from application.relay.topics import HOUR_MS, SESSIONS, STATE, TopicFacts
from application.users.ports import UserReader
from domain.session import TOKEN_LIFETIME_MS
from domain.user import Known, Tombstone, User, UserId

_NEVER_MS = 2**62  # from here on a value means without a bound: `max.compaction.lag.ms` is 2^63 - 1 by default

CHECK_MS = 10 * 60_000
"""The brokers look at segments every `log.retention.check.interval.ms`, 5 minutes unless set otherwise, and remove the
files a minute later; the relay forgets sessions every minute."""

PULSE_MS = HOUR_MS  # the relay's empty transaction, which closes segments of quiet partitions, and then the cleaner


@frozen(kw_only=True)
class Place:
    name: str
    left: int | None  # how many rows or records hold personal data, or ids of sessions; None if unknown
    what: str  # what is there, as text
    until: int | None = None  # by when all of it is removed, ms; None: nothing is left, or the date is unknown
    why: str = ""  # what removes it, or what does not

    def is_due(self, now_ms: int) -> bool:
        """Tell whether something is left, or may be left, after its date or without a date."""
        return self.left != 0 and (self.until is None or self.until < now_ms)


@frozen(kw_only=True)
class Erasure:
    id: UserId
    deleted: bool
    places: Sequence[Place]


@frozen
class CheckErasure:
    users: UserReader
    traces: StoredTracesReader
    topics: SearchTopics
    examine_topics: Callable[[], Awaitable[Sequence[TopicFacts]]]

    async def __call__(self, user_id: UserId) -> Erasure:
        """Search every place, also for an unknown user; raises StoreUnavailableError, BrokerUnavailableError."""
        row = await self.users.get(user_id)
        stored = await self.traces.of_user(user_id)
        places = [*places_in_database(row, stored)]
        for facts in await self.examine_topics():
            name, definition = facts.topic.name, facts.topic.definition
            if facts.hidden:
                what = "unknown: the brokers hide the topic from us"
                places.append(Place(name=name, left=None, what=what, why="an ACL decides who may describe it"))
            elif facts.partitions is None:
                places.append(Place(name=name, left=0, what="there is no such topic"))
            elif definition is SESSIONS:
                found = await self.topics.mentioning(name, user_id)
                places.append(by_retention(found, "ended session", facts.settings))
            else:
                found = await self.topics.by_key(name, user_id, all_partitions=True, rolled_back=True)
                if definition is STATE:
                    places.append(states(found, facts.settings))
                else:
                    places.append(by_retention(found, "event", facts.settings))
        return Erasure(id=user_id, deleted=isinstance(row, Tombstone), places=places)


def places_in_database(row: Known, stored: StoredTraces) -> Iterator[Place]:
    match row:
        case User():
            yield Place(name="users", left=1, what="the profile", why="the user is not deleted")
        case Tombstone():
            yield Place(name="users", left=0, what="a tombstone: id, version and time")
        case None:
            yield Place(name="users", left=0, what="no row")
    waiting = [event for event in stored.waiting if _is_personal(event.payload)]
    why = "a relay publishes it first, and then the topic's retention counts"
    yield _place("outbox", len(waiting) + stored.waiting_sessions, "event", why=why)
    dead = [event for event in stored.dead if _is_personal(event.payload)]
    erases = "auth-service outbox discard ID erases it"
    yield _place("outbox_dead", len(dead) + stored.dead_sessions, "dead letter", why=erases)
    ended = [session.recorded_at for session in stored.sessions]
    until = max(ended, default=0) + TOKEN_LIFETIME_MS + CHECK_MS
    yield _place("revoked_session", len(ended), "ended session", until, why="a relay forgets them after an hour")


def by_retention(search: TopicSearch, noun: str, settings: Mapping[str, str] | None) -> Place:
    """A topic of events: a record stays for the retention plus the time of a segment."""
    written = [record.timestamp for record in search.records if _is_left(record)]
    if not written:
        return _place(search.topic, 0, noun)
    if settings is None:
        return _unknown(search.topic, len(written), noun)
    retention = int(settings.get("retention.ms", -1))
    if "delete" not in settings.get("cleanup.policy", "") or not 0 <= retention < _NEVER_MS:
        return _place(search.topic, len(written), noun, why="the topic keeps records without end")
    until = max(written) + retention + int(settings.get("segment.ms", 0)) + CHECK_MS
    return _place(search.topic, len(written), noun, until, why="retention.ms and segment.ms after it was written")


def states(search: TopicSearch, settings: Mapping[str, str] | None) -> Place:
    """The state topic: compaction removes a record after a later one of the same key in the same partition."""
    left, last_replaced, kept = 0, 0, 0
    for _, of_partition in groupby(search.records, lambda record: record.partition):
        records = list(of_partition)
        for number, record in enumerate(records):
            if _is_left(record):
                # Rolled back records replace nothing, and are removed together with replaced ones.
                behind = [record] if record.rolled_back else records[number + 1 :]
                later = next((each for each in behind if each is record or not each.rolled_back), None)
                left += 1
                kept += later is None
                last_replaced = max(last_replaced, later.timestamp if later else 0)
    if not left:
        return _place(search.topic, 0, "state")
    if settings is None:
        return _unknown(search.topic, left, "state")
    if "compact" not in settings.get("cleanup.policy", ""):
        return by_retention(search, "state", settings)
    lag = int(settings.get("max.compaction.lag.ms", _NEVER_MS))
    if kept:
        why = "no later record replaces it: the user is not deleted, or had another partition then"
        return _place(search.topic, left, "state", why=why)
    if lag >= _NEVER_MS:
        return _place(search.topic, left, "state", why="max.compaction.lag.ms is not set, so compaction has no date")
    why = "max.compaction.lag.ms after the deletion, and an hour"
    return _place(search.topic, left, "state", last_replaced + lag + PULSE_MS + CHECK_MS, why=why)


def _place(name: str, left: int, noun: str, until: int | None = None, why: str = "") -> Place:
    if not left:
        return Place(name=name, left=0, what="nothing")
    return Place(name=name, left=left, what=counted(left, noun), until=until, why=why)


def _unknown(topic: str, left: int, noun: str) -> Place:
    return _place(topic, left, noun, why="unknown: the brokers do not let us read the topic's settings")


def _is_left(record: Record) -> bool:
    return record.readable and _is_personal(record.value)


def _is_personal(value: bytes | None) -> bool:
    """Whether there is more than a deletion; an unreadable record counts as personal data."""
    return value is not None and not is_tombstone(document_of(value))
