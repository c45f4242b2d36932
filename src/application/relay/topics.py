"""The definitions of the topics, for `topic`, `doctor`, `dev` and the AsyncAPI document."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from attrs import field, frozen

from application.failure import Failure

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

LONGEST_KEPT_MS = 28 * DAY_MS
SEGMENT_MS = DAY_MS  # Kafka deletes whole segments, by their newest record: the oldest one stays longer by `segment.ms`
_WITHIN_A_MONTH = "what a deleted user once was must leave Kafka within a month (GDPR, articles 12 and 17)"


class Bound(StrEnum):
    """How a value may differ from the defined one."""

    EXACTLY = "exactly"
    AT_LEAST = "at least"
    AT_MOST = "at most"

    def admits(self, found: str, defined: str) -> bool:
        match self:
            case Bound.EXACTLY:
                return found == defined
            case Bound.AT_LEAST:
                return _number(found) >= _number(defined)
            case Bound.AT_MOST:
                return _number(found) <= _number(defined)


@frozen
class Setting:
    """A setting of the topic, by Kafka's name for it."""

    name: str
    bound: Bound
    value: str
    why: str  # what goes wrong otherwise
    vital: bool = False  # otherwise events are lost or withheld; others are risks that an operator may accept


@frozen(kw_only=True)
class TopicDefinition:
    """The definition of a topic, without its name."""

    variable: str  # the variable that names it
    default_name: str
    settings: Sequence[Setting]
    partitions: int = 6  # At least. Adding partitions later moves keys, so there are more than are needed at first.
    replication_factor: int = 3  # at least, if there are as many brokers


# fmt: off
_LARGEST_EVENT = Setting("max.message.bytes", Bound.AT_LEAST, "2097152",
    "a user may come with 1 MiB of metadata; an event that is refused becomes a dead letter")
EVENTS = TopicDefinition(variable="KAFKA_USER_EVENTS_TOPIC", default_name="auth.user.events.v1", settings=(
    Setting("cleanup.policy", Bound.EXACTLY, "delete", "compaction removes events that nobody has read yet", True),
    Setting("retention.ms", Bound.AT_MOST, str(LONGEST_KEPT_MS - SEGMENT_MS),
        f"{_WITHIN_A_MONTH}; a segment's time comes on top"),
    Setting("segment.ms", Bound.AT_MOST, str(SEGMENT_MS),
        f"a record stays until the whole segment is past its retention; {_WITHIN_A_MONTH}"),
    _LARGEST_EVENT,
))
STATE = TopicDefinition(variable="KAFKA_USER_STATE_TOPIC", default_name="auth.user.state.v1", settings=(
    Setting("cleanup.policy", Bound.EXACTLY, "compact", "users that do not change would be removed by retention", True),
    Setting("delete.retention.ms", Bound.AT_LEAST, str(7 * DAY_MS),
        "a consumer that was stopped for longer misses deletions"),
    # Bounds segments too: Kafka closes one after this or segment.ms, whichever is less.
    Setting("max.compaction.lag.ms", Bound.AT_MOST, str(7 * DAY_MS), _WITHIN_A_MONTH),
    _LARGEST_EVENT,
))
SESSIONS = TopicDefinition(variable="KAFKA_SESSION_EVENTS_TOPIC", default_name="auth.session.events.v1", settings=(
    Setting("cleanup.policy", Bound.EXACTLY, "delete", "compaction removes records that a new consumer needs", True),
    Setting("retention.ms", Bound.AT_LEAST, str(HOUR_MS),
        "a starting consumer must find every session that a token can still name", True),
    Setting("segment.ms", Bound.AT_MOST, str(DAY_MS), "a record stays until its whole segment is past retention"),
))
# fmt: on
TOPICS = (EVENTS, STATE, SESSIONS)


@frozen
class Topic:
    """A topic of this installation."""

    name: str
    definition: TopicDefinition


@frozen(kw_only=True)
class TopicFacts:
    """A topic as the brokers describe it."""

    topic: Topic
    brokers: int  # the number of partitions
    out_of_reach: Sequence[Failure] = ()  # brokers that cannot be reached at the address that they advertise
    partitions: int | None = None  # None if the topic does not exist, or is hidden by an ACL
    hidden: bool = False  # an ACL hides whether it exists
    replication_factor: int = 0  # of the partition that has the fewest copies
    in_sync: int = 0  # copies that are current, of the partition that has the fewest
    leaderless: int = 0  # partitions without a leader
    settings: Mapping[str, str] | None = field(factory=dict)  # its own and inherited; None if an ACL denies it
    operations: frozenset[str] | None = None
    """Permitted operations, by Kafka's names (`write`, `read` …); None if the brokers do not report them."""


@frozen
class TopicDifference:
    """A difference between a topic and its definition."""

    what: str
    found: str
    defined: str
    why: str
    vital: bool = False


def replication_factor(definition: TopicDefinition, brokers: int) -> int:
    return max(1, min(definition.replication_factor, brokers))


def min_in_sync(copies: int) -> int:
    """Return how many copies must have an event before it is acknowledged: two, if there are at least three copies."""
    return 2 if copies > 2 else 1  # noqa: PLR2004


def differences(facts: TopicFacts, *, partitions: int | None = None) -> Iterator[TopicDifference]:
    """Compare a topic, if it exists, with its definition, or with another number of partitions."""
    definition = facts.topic.definition
    wanted = partitions or definition.partitions
    if facts.partitions is None:
        return
    if facts.partitions < wanted:
        why = "no more consumers of a group than partitions share the work; adding some later moves keys"
        yield TopicDifference("partitions", str(facts.partitions), f"{Bound.AT_LEAST} {wanted}", why)
    copies = replication_factor(definition, facts.brokers)
    if facts.replication_factor < copies:
        why = "events are lost with the broker that has the only copy"
        yield TopicDifference("replication factor", str(facts.replication_factor), f"{Bound.AT_LEAST} {copies}", why)
    if facts.settings is None:
        return
    yield from _min_in_sync(facts.settings, facts.replication_factor)
    for setting in definition.settings:
        found = facts.settings.get(setting.name)
        if found is not None and not setting.bound.admits(found, setting.value):
            bound = "" if setting.bound is Bound.EXACTLY else f"{setting.bound} "
            yield TopicDifference(setting.name, found, f"{bound}{setting.value}", setting.why, setting.vital)


def _min_in_sync(settings: Mapping[str, str], copies: int) -> Iterator[TopicDifference]:
    found = settings.get("min.insync.replicas")
    if found is None:
        return
    if int(found) > copies:
        why = "there are never as many copies, so nothing can be written"
        yield TopicDifference("min.insync.replicas", found, f"{Bound.AT_MOST} {copies}", why, vital=True)
    elif int(found) < min_in_sync(copies):
        why = "an event counts as stored when a single broker has it, and is lost with that broker"
        yield TopicDifference("min.insync.replicas", found, f"{Bound.AT_LEAST} {min_in_sync(copies)}", why)


def _number(text: str) -> float:
    """Read a setting's number; -1 means without a bound in Kafka."""
    return float("inf") if text == "-1" else float(text)
