"""When a relay runs a round, when it rests, and how it ends."""

import asyncio

import pytest

from adapters.kafka.cloudevents import encode
from application.failure import Failure
from application.relay import loop
from application.relay.lanes import session_lane
from application.relay.loop import Carrier, Relay
from application.relay.messages import Pending
from application.relay.relay_events import RelayEvents, Round
from domain.events import UserDeleted
from domain.user import Tombstone, UserId
from support.memory import MemoryLeases, MemoryOutbox, MemoryPublisher


class Notes:
    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.failures: list[Failure] = []
        self.lease_failures: list[Failure | None] = []
        self.lanes: list[int] = []

    def round_done(self, done: Round) -> None:
        self.rounds.append(done)

    def round_failed(self, failure: Failure) -> None:
        self.failures.append(failure)

    def leases_renewed(self, failure: Failure | None) -> None:
        self.lease_failures.append(failure)

    def lanes_changed(self, lanes: frozenset[int]) -> None:
        self.lanes.append(len(lanes))


def message(version: int):
    return encode(UserDeleted(Tombstone(id=UserId("user_a"), version=version, deleted_at=0)))


def relay(leases=None, **pauses) -> tuple[Relay, MemoryOutbox, MemoryPublisher, Notes]:
    outbox, publisher, notes = MemoryOutbox(), MemoryPublisher(), Notes()
    carrier = Carrier(RelayEvents(outbox, publisher), notes, **pauses)
    return Relay("r", [carrier], leases or MemoryLeases(), notes), outbox, publisher, notes


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_it_takes_the_lanes_delivers_and_leaves_them_when_told_to_stop():
    leases = MemoryLeases()
    one, outbox, publisher, notes = relay(leases)
    outbox.add(message(1), message(2))
    running = asyncio.create_task(one.run())
    await until(lambda: len(publisher.delivered) == 2)
    one.stop()
    await running

    assert notes.lanes == [64]
    assert set(leases.owners.values()) == {None}
    assert outbox.rows == []


async def test_a_wake_up_ends_the_rest_of_an_idle_relay():
    one, outbox, publisher, notes = relay(shortest_pause_s=3600)
    running = asyncio.create_task(one.run())
    await until(lambda: len(notes.rounds) == 1)
    outbox.add(message(1))
    one.carriers[0].wake()
    await until(lambda: publisher.delivered)
    one.stop()
    await running


async def test_an_event_that_nobody_announced_is_found_by_polling():
    one, outbox, publisher, _ = relay()
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0.1)
    outbox.add(message(1))
    await until(lambda: publisher.delivered)
    one.stop()
    await running


async def test_what_comes_soon_after_a_small_round_shares_the_next_one(monkeypatch):
    monkeypatch.setattr(loop, "ROUND_S", 1.0)
    one, outbox, publisher, notes = relay()
    outbox.add(message(1))
    running = asyncio.create_task(one.run())
    await until(lambda: publisher.delivered)
    for version in (2, 3):
        outbox.add(message(version))
        one.carriers[0].wake()
        await asyncio.sleep(0.01)
    await until(lambda: len(publisher.delivered) == 3)
    one.stop()
    await running

    assert [done.taken for done in notes.rounds if done.taken] == [1, 2]


async def test_a_larger_round_leaves_more_time_for_the_next_one_to_fill(monkeypatch):
    monkeypatch.setattr(loop, "EVENTS_PER_S", 10)
    monkeypatch.setattr(loop, "LONGEST_ROUND_S", 1.0)
    one, outbox, publisher, notes = relay()
    outbox.add(*(message(version) for version in range(1, 11)))
    running = asyncio.create_task(one.run())
    await until(lambda: len(publisher.delivered) == 10)
    for version in (11, 12):
        outbox.add(message(version))
        one.carriers[0].wake()
        await asyncio.sleep(0.01)
    await until(lambda: len(publisher.delivered) == 12)
    one.stop()
    await running

    assert [done.taken for done in notes.rounds if done.taken] == [10, 2]


@pytest.mark.parametrize(
    ("events", "seconds"), [(0, 0.004), (1, 0.004), (2, 0.008), (16, 0.008), (20, 0.01), (40, 0.02), (999, 0.02)]
)
def test_a_round_that_several_events_share_is_longer_and_one_of_many_the_longest(events, seconds):
    assert loop.round_s(events) == pytest.approx(seconds)


async def test_a_relay_that_is_behind_does_not_rest(monkeypatch):
    monkeypatch.setattr(loop, "SHARED_ROUND_S", 3600.0)
    monkeypatch.setattr(loop, "BATCH", 2)
    one, outbox, publisher, _ = relay()
    outbox.add(*(message(version) for version in range(1, 9)))
    running = asyncio.create_task(one.run())
    await until(lambda: len(publisher.delivered) == 8)
    one.stop()
    await running


async def test_a_failure_is_told_and_passes_by_itself():
    one, outbox, publisher, notes = relay()
    outbox.add(message(1))
    publisher.fate[1] = "NotEnoughReplicas"
    running = asyncio.create_task(one.run())
    await until(lambda: notes.failures)
    publisher.fate.clear()
    await until(lambda: publisher.delivered)
    one.stop()
    await running

    assert {failure.detail for failure in notes.failures} == {"NotEnoughReplicas"}


async def test_a_relay_that_cannot_keep_its_lanes_because_of_a_bug_ends_instead_of_going_on_without_them():
    class Broken(MemoryLeases):
        async def read(self, relay: str):
            raise ZeroDivisionError

    one, *_ = relay(Broken())

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(30):
            await one.run()


async def test_a_round_that_does_not_end_holds_up_a_relay_that_is_told_to_stop_for_a_bounded_time():
    leases, notes, sending = MemoryLeases(), Notes(), asyncio.Event()

    class Endless(MemoryPublisher):
        async def publish(self, batch):
            sending.set()
            await asyncio.Event().wait()

    outbox = MemoryOutbox()
    outbox.add(message(1))
    one = Relay("r", [Carrier(RelayEvents(outbox, Endless()), notes)], leases, notes, leave_s=0.1)
    running = asyncio.create_task(one.run())
    await asyncio.wait_for(sending.wait(), 30)
    one.stop()
    await asyncio.wait_for(running, 30)

    assert notes.lanes == [64]
    assert set(leases.owners.values()) == {None}


async def test_the_events_of_one_topic_go_on_while_another_topic_is_away():
    users, sessions = MemoryOutbox(), MemoryOutbox()
    reached, away = MemoryPublisher(), MemoryPublisher({1: "no such topic"})
    notes, others = Notes(), Notes()
    carriers = [
        Carrier(RelayEvents(users, reached), notes),
        Carrier(RelayEvents(sessions, away), others),
    ]
    one = Relay("r", carriers, MemoryLeases(), notes)
    sessions.add(message(1))
    running = asyncio.create_task(one.run())
    await until(lambda: others.failures)
    users.add(message(1))
    carriers[0].wake()
    await until(lambda: reached.delivered)
    one.stop()
    await running

    assert away.delivered == []
    assert notes.failures == []
    assert len(sessions.rows) == 1


async def test_a_relay_holds_with_each_lane_the_one_where_its_session_events_wait():
    outbox, publisher = MemoryOutbox(), MemoryPublisher()
    outbox.rows.append(Pending(id=1, lane=session_lane(5), stored_at=0, message=message(1)))
    outbox.rows.append(Pending(id=2, lane=5, stored_at=0, message=message(2)))

    done = await RelayEvents(outbox, publisher, session_lane)([4, 5], 10)

    assert [item.id for item in done.published] == [1]
