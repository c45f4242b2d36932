import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.cloudevents import encode
from application.errors import StoreUnavailableError
from application.relay.lanes import LANES
from application.relay.messages import OutboxMessage, Pending
from application.relay.relay_events import RelayEvents
from domain.events import UserDeleted
from domain.user import Tombstone, UserId
from support.memory import MemoryOutbox, MemoryPublisher

ALL = range(LANES)


def message(user: str, version: int) -> OutboxMessage:
    return encode(UserDeleted(Tombstone(id=UserId(f"user_{user}"), version=version, deleted_at=0)))


def relay(*messages: OutboxMessage, **fate: str) -> RelayEvents:
    outbox = MemoryOutbox()
    outbox.add(*messages)
    return RelayEvents(outbox, MemoryPublisher({int(name[1:]): what for name, what in fate.items()}))


def left(relay_events: RelayEvents) -> list[int]:
    assert isinstance(relay_events.outbox, MemoryOutbox)
    return [row.id for row in relay_events.outbox.rows]


async def test_what_was_acknowledged_is_deleted_by_the_next_round():
    relay_events = relay(message("a", 1), message("a", 2), message("b", 1))

    done = await relay_events(ALL, 10)
    nothing = await relay_events(ALL, 10)

    assert (done.taken, len(done.published), done.outage) == (3, 3, None)
    assert nothing.taken == 0
    assert left(relay_events) == []


async def test_what_was_acknowledged_is_deleted_when_no_round_follows():
    relay_events = relay(message("a", 1))

    await relay_events(ALL, 10)
    waiting = left(relay_events)
    await relay_events.settle()

    assert (waiting, left(relay_events)) == ([1], [])


@pytest.mark.parametrize("next_step", ["round", "settle"])
async def test_what_could_not_be_deleted_is_sent_again_because_another_event_may_have_its_version_by_then(next_step):
    """As after a failover that lost commits: the id of an event follows from its version."""

    class Away(MemoryOutbox):
        async def delete(self, published):
            if published:
                raise StoreUnavailableError("away")

    relay_events = relay(message("a", 1))
    await relay_events(ALL, 10)
    relay_events.outbox = Away(relay_events.outbox.rows)
    with pytest.raises(StoreUnavailableError):
        await (relay_events(ALL, 10) if next_step == "round" else relay_events.settle())
    relay_events.outbox = MemoryOutbox()
    relay_events.outbox.add(message("a", 1))
    await relay_events(ALL, 10)
    await relay_events.settle()

    assert len(relay_events.publisher.delivered) == 2
    assert left(relay_events) == []


async def test_an_empty_outbox_costs_no_send():
    done = await relay()(ALL, 10)

    assert done.taken == 0


async def test_only_the_lanes_it_was_given_are_touched():
    relay_events = relay(message("a", 1), message("b", 1))
    lane = relay_events.outbox.rows[1].lane

    await relay_events([lane], 10)
    await relay_events.settle()

    assert left(relay_events) == [1]


async def test_an_outage_keeps_what_did_not_arrive_and_names_the_reason():
    relay_events = relay(message("a", 1), message("a", 2), message("b", 1), _2="NotEnoughReplicas")

    done = await relay_events(ALL, 10)

    assert done.outage.detail == "NotEnoughReplicas"
    assert left(relay_events) == [2, 3]


async def test_a_refused_event_is_put_aside_and_later_versions_go_on():
    relay_events = relay(message("a", 1), message("a", 2), message("a", 3), _2="refused")

    done = await relay_events(ALL, 10)
    await relay_events.settle()

    assert (len(done.published), done.refused) == (2, 1)
    assert left(relay_events) == []
    assert [refusal.pending.id for refusal in relay_events.outbox.dead] == [2]


async def test_nothing_is_deleted_later_when_what_was_refused_could_not_be_put_aside():
    class Away(MemoryOutbox):
        async def move_to_dead_letters(self, refusals):
            raise StoreUnavailableError("away")

    relay_events = relay(message("a", 1), message("b", 1), _2="refused")
    relay_events.outbox = Away(relay_events.outbox.rows)
    with pytest.raises(StoreUnavailableError):
        await relay_events(ALL, 10)
    relay_events.outbox = MemoryOutbox()
    relay_events.outbox.add(message("a", 1))
    await relay_events(ALL, 10)

    assert [item.message.key for item in relay_events.publisher.delivered] == ["user_a", "user_a"]


async def test_a_version_acknowledged_behind_a_gap_is_sent_again_with_the_run_it_belongs_to():
    class Careless(MemoryPublisher):
        async def publish(self, batch):
            deliveries = await super().publish([item for item in batch if item.id != 1])
            return type(deliveries)(deliveries.acknowledged, deliveries.refused, "cut")

    relay_events = relay(message("a", 1), message("a", 2), message("b", 1))
    careless = RelayEvents(relay_events.outbox, Careless())

    await careless(ALL, 10)

    assert left(relay_events) == [1, 2]


@given(
    users=st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    outages=st.dictionaries(st.integers(1, 12), st.just("cut"), max_size=3),
    refused=st.sets(st.integers(1, 12), max_size=2),
    limit=st.integers(1, 5),
    ages=st.permutations(range(12)),
)
def test_rounds_deliver_every_event_that_is_not_refused_and_never_reorder_a_key(users, outages, refused, limit, ages):
    versions: dict[str, int] = {}
    messages = []
    for user in users:
        versions[user] = versions.get(user, 0) + 1
        messages.append(message(user, versions[user]))
    relay_events = relay(*messages)
    relay_events.outbox.age = lambda row: ages[row.id - 1]  # as numbers are that several servers give
    relay_events.publisher.fate = {**outages, **dict.fromkeys(refused, "refused")}

    asyncio.run(_until_empty(relay_events, limit))

    delivered = [(item.message.key, item.message.version) for item in relay_events.publisher.delivered]
    first_seen: dict[str, list[int]] = {}
    for key, version in delivered:
        if version > max(first_seen.get(key, [0])):
            first_seen.setdefault(key, []).append(version)
    expected: dict[str, list[int]] = {}
    for number, item in enumerate(messages, 1):
        if number not in refused:
            expected.setdefault(item.key, []).append(item.version)
    assert first_seen == expected


async def _until_empty(relay_events: RelayEvents, limit: int) -> None:
    publisher = relay_events.publisher
    assert isinstance(publisher, MemoryPublisher)
    for _ in range(100):
        done = await relay_events(ALL, limit)
        if done.outage:  # it passes
            publisher.fate = {pending: fate for pending, fate in publisher.fate.items() if fate == "refused"}
        if not done.taken:
            return
    pytest.fail("the outbox does not get empty")


class Recorded(MemoryOutbox):
    """Notes which lanes are read, and what is deleted, while a batch is on its way."""

    def __init__(self, rows: Sequence[Pending]) -> None:
        super().__init__(list(rows))
        self.calls: list[object] = []

    async def oldest(self, lanes, limit, *, published=()):
        self.calls.append(sorted(lanes))
        return await super().oldest(lanes, limit, published=published)

    async def delete(self, published):
        self.calls.append([item.id for item in published])
        await super().delete(published)


def recorded(*messages: OutboxMessage) -> tuple[RelayEvents, Recorded, list[int]]:
    filled = relay(*messages)
    assert isinstance(filled.outbox, MemoryOutbox)
    outbox = Recorded(filled.outbox.rows)
    return RelayEvents(outbox, filled.publisher), outbox, [row.lane for row in outbox.rows]


async def test_while_a_full_batch_is_on_its_way_the_next_one_is_read_from_other_lanes():
    relay_events, outbox, (a, b, c) = recorded(message("a", 1), message("b", 1), message("c", 1))

    taken = [(await relay_events([a, b, c], 1)).taken for _ in range(4)]
    await relay_events.settle()

    assert taken == [1, 1, 1, 0]
    assert [item.message.key for item in relay_events.publisher.delivered] == ["user_a", "user_b", "user_c"]
    # The first batch is deleted beside the second one's way, and its lane not read before it is.
    read_all, only_a = sorted([a, b, c]), [a]
    calls = [call for call in outbox.calls if call]
    assert calls == [read_all, sorted([b, c]), [c], [1], only_a, [2], read_all, [3]]
    assert outbox.rows == []


async def test_what_was_published_before_a_short_batch_that_had_been_read_ahead_is_deleted_too():
    relay_events, outbox, (a, _, b) = recorded(message("a", 1), message("a", 2), message("b", 1))

    await relay_events([a, b], 2)  # both of a; that of b is read meanwhile
    short = await relay_events([a, b], 2)
    await relay_events.settle()

    assert (short.taken, outbox.rows, len(relay_events.publisher.delivered)) == (1, [], 3)


async def test_what_was_read_ahead_is_read_again_after_an_outage():
    relay_events, _, (a, b) = recorded(message("a", 1), message("b", 1))
    relay_events.publisher.fate = {1: "cut"}
    outage = await relay_events([a, b], 1)
    relay_events.publisher.fate = {}
    relay_events.outbox = MemoryOutbox()
    relay_events.outbox.add(message("c", 1))

    await relay_events(ALL, 10)

    assert outage.outage
    assert [item.message.key for item in relay_events.publisher.delivered] == ["user_c"]


async def test_what_was_read_ahead_is_read_again_when_what_was_refused_could_not_be_put_aside():
    class Away(MemoryOutbox):
        async def move_to_dead_letters(self, refusals):
            raise StoreUnavailableError("away")

    filled = relay(message("a", 1), message("b", 1), _1="refused")
    relay_events = RelayEvents(Away(filled.outbox.rows), filled.publisher)
    lanes = [row.lane for row in filled.outbox.rows]
    with pytest.raises(StoreUnavailableError):
        await relay_events(lanes, 1)
    relay_events.outbox = MemoryOutbox()  # the successor has lost both
    nothing = await relay_events(lanes, 1)

    assert (nothing.taken, relay_events.publisher.delivered) == (0, [])


async def test_a_send_goes_to_its_end_when_the_read_beside_it_fails():
    sent = asyncio.Event()

    class Slow(MemoryPublisher):
        async def publish(self, batch):
            await asyncio.sleep(0.01)
            sent.set()
            return await super().publish(batch)

    class Away(MemoryOutbox):
        async def oldest(self, lanes, limit, *, published=()):
            if len(lanes) < LANES:
                raise StoreUnavailableError("away")
            return await super().oldest(lanes, limit, published=published)

    outbox = Away()
    outbox.add(message("a", 1))
    relay_events = RelayEvents(outbox, Slow())

    with pytest.raises(StoreUnavailableError):
        await relay_events(ALL, 1)

    assert sent.is_set()
    assert left(relay_events) == [1]


async def test_a_round_takes_no_more_than_it_is_told():
    outbox, publisher = MemoryOutbox(), MemoryPublisher()
    outbox.add(*(encode(UserDeleted(Tombstone(id=UserId(f"user_{n}"), version=1, deleted_at=0))) for n in range(3)))

    done = await RelayEvents(outbox, publisher)(range(LANES), 2)

    assert (done.taken, len(publisher.delivered)) == (2, 2)
