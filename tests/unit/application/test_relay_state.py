import pytest
from attrs import evolve

from adapters.kafka.cloudevents import encode
from application.errors import StoreUnavailableError
from application.failure import Cause
from application.relay.lanes import LANES, lane_of
from application.relay.messages import OutboxMessage, Pending
from application.relay.relay_state import RelayEventsAndState
from application.relay.state_topic import fill_lane
from domain.events import UserDeleted
from domain.user import Tombstone, UserId
from support.memory import MemoryOutbox, MemoryPublisher
from support.state_memory import MemoryStateLanes, MemoryStatePublisher

ALL = range(LANES)


def message(user: str, version: int) -> OutboxMessage:
    return encode(UserDeleted(Tombstone(id=UserId(f"user_{user}"), version=version, deleted_at=0)))


def relay(*messages: OutboxMessage, events: dict[int, str] | None = None, state: dict[int, str] | None = None):
    newest: dict[str, int] = {item.key: item.version for item in messages}
    outbox = MemoryOutbox(newest=newest)
    outbox.add(*messages)
    return RelayEventsAndState(
        "me", outbox, MemoryPublisher(events or {}), MemoryStatePublisher(fate=state or {}), MemoryStateLanes(newest)
    )


async def left(run_round: RelayEventsAndState) -> list[int]:
    """What waits when the last round is settled."""
    assert isinstance(run_round.outbox, MemoryOutbox)
    await run_round.settle()
    return [row.id for row in run_round.outbox.rows]


def delivered(run_round: RelayEventsAndState) -> list[tuple[str, int]]:
    assert isinstance(run_round.publisher, MemoryPublisher)
    return [(item.message.key, item.message.version) for item in run_round.publisher.delivered]


def written(run_round: RelayEventsAndState) -> list[tuple[str, int]]:
    assert isinstance(run_round.state, MemoryStatePublisher)
    return run_round.state.topic.log


async def test_every_event_goes_to_one_topic_and_each_users_newest_version_to_the_other():
    run_round = relay(message("a", 1), message("a", 2), message("b", 1))

    done = await run_round(ALL, 10)

    assert (done.taken, len(done.published), done.outage) == (3, 3, None)
    assert delivered(run_round) == [("user_a", 1), ("user_a", 2), ("user_b", 1)]
    assert written(run_round) == [("user_a", 2), ("user_b", 1)]
    assert await left(run_round) == []


async def test_a_version_that_another_has_overtaken_beyond_the_batch_is_not_written():
    run_round = relay(message("a", 1), message("a", 2))

    await run_round(ALL, 1)
    first = list(written(run_round))
    await run_round(ALL, 1)

    assert (first, written(run_round)) == ([], [("user_a", 2)])


async def test_an_empty_outbox_costs_no_send():
    assert (await relay()(ALL, 10)).taken == 0


async def test_what_only_the_event_topic_took_stays_and_is_not_sent_to_it_again():
    run_round = relay(message("a", 1), message("b", 1), state={2: "NotEnoughReplicas"})

    done = await run_round(ALL, 10)
    kept = await left(run_round)
    again = await run_round(ALL, 10)

    assert (done.outage.detail, kept) == ("NotEnoughReplicas", [1, 2])
    assert (again.outage, await left(run_round)) == (None, [])
    assert delivered(run_round) == [("user_a", 1), ("user_b", 1)]


async def test_what_only_the_state_topic_took_stays_and_goes_to_both_again():
    run_round = relay(message("a", 1), events={1: "NotEnoughReplicas"})

    done = await run_round(ALL, 10)
    kept = await left(run_round)
    run_round.publisher.fate.clear()
    await run_round(ALL, 10)

    assert (done.outage.detail, kept, await left(run_round)) == ("NotEnoughReplicas", [1], [])
    assert delivered(run_round) == [("user_a", 1)]
    assert set(written(run_round)) == {("user_a", 1)}


async def test_without_the_state_topic_no_event_is_sent_either_so_that_none_is_sent_every_round():
    run_round = relay(message("a", 1))
    run_round.state.outage = "topic state does not exist"

    done = await run_round(ALL, 10)

    assert (done.taken, done.outage.detail) == (0, "topic state does not exist")
    assert delivered(run_round) == []
    assert await left(run_round) == [1]


@pytest.mark.parametrize(("events", "state"), [({1: "refused"}, {}), ({}, {1: "refused"}), ({1: "refused"},) * 2])
async def test_what_one_of_the_topics_refuses_is_put_aside_once_and_names_the_topic(events, state):
    run_round = relay(message("a", 1), message("b", 1), events=dict(events), state=dict(state))

    done = await run_round(ALL, 10)

    assert (len(done.published), done.refused, done.outage) == (1, 1, None)
    assert await left(run_round) == []
    [letter] = run_round.outbox.dead
    assert letter.pending.id == 1
    assert ("state: " in letter.error) == bool(state)
    assert letter.error.replace("state: ", "").count("too large") == len(events) + len(state)


async def test_what_one_topic_refuses_waits_until_the_other_has_answered():
    run_round = relay(message("a", 1), events={1: "refused"}, state={1: "NotEnoughReplicas"})

    done = await run_round(ALL, 10)
    kept, dead = await left(run_round), list(run_round.outbox.dead)
    await run_round(ALL, 10)

    assert (done.refused, kept, dead) == (0, [1], [])
    assert [letter.pending.id for letter in run_round.outbox.dead] == [1]
    assert written(run_round)[-1] == ("user_a", 1)


async def test_a_relay_bars_who_wrote_a_lane_before_it_and_claims_each_lane_once():
    run_round = relay(message("a", 1), message("b", 1))
    run_round.lanes.by_lane = {lane_of("user_a"): "the dead", lane_of("user_b"): "the frozen"}

    await run_round(ALL, 1)
    await run_round(ALL, 1)

    assert run_round.state.fenced == ["the dead", "the frozen"]
    assert set(run_round.lanes.by_lane.values()) == {await run_round.state.writer()}


async def test_a_relay_that_was_barred_begins_again_at_once():
    run_round = relay(message("a", 1))
    run_round.state.topic.barred |= {f"writer-{n}" for n in range(10)}

    rounds = [await run_round(ALL, 10) for _ in range(11)]

    assert [done.outage for done in rounds] == [None] * 11
    assert await left(run_round) == []
    assert delivered(run_round) == [("user_a", 1)]


@pytest.mark.parametrize("rounds_between", [0, 1, 3, 8])
async def test_two_relays_that_bar_each_other_every_few_rounds_report_a_failure_until_it_ends(rounds_between: int):
    run_round = relay(*(message("a", version) for version in range(1, 400)))

    told = []
    for _ in range(30):
        run_round.state.topic.barred.add(await run_round.state.writer())
        told.append((await run_round(ALL, 1)).outage)
        told += [(await run_round(ALL, 1)).outage for _ in range(rounds_between)]
    calm = [(await run_round(ALL, 1)).outage for _ in range(8)]

    at = [number for number, outage in enumerate(told) if outage]
    assert at
    assert at[0] >= 10 * (1 + rounds_between)  # ten relays that join are no failure
    assert calm == [None] * 8


async def test_a_failed_writer_is_barred_before_its_lanes_are_read_again():
    run_round = relay(message("a", 1), state={1: "cut"})

    await run_round(ALL, 10)
    await run_round(ALL, 10)

    assert run_round.state.fenced == ["writer-0"]


class NoPrimary(MemoryOutbox):
    async def oldest(self, *_, **__):
        raise StoreUnavailableError("no primary", Cause.NO_PRIMARY)


async def test_a_database_that_comes_back_without_its_last_commits_is_claimed_and_published_anew():
    run_round = relay(message("a", 1), state={1: "cut"})
    lane, outbox = lane_of("user_a"), run_round.outbox
    run_round.lanes.by_lane = {lane: "the dead"}

    await run_round(ALL, 10)  # the event topic has it, the state topic has not
    run_round.outbox = NoPrimary()
    with pytest.raises(StoreUnavailableError):
        await run_round(ALL, 10)
    # The standby that is promoted knows neither the claim nor what that version was, and has stored it again.
    run_round.lanes.by_lane = {lane: "the dead"}
    outbox.rows[:] = [evolve(row, stored_at=row.stored_at + 1) for row in outbox.rows]
    run_round.outbox = outbox
    await run_round(ALL, 10)
    await run_round(ALL, 10)

    assert delivered(run_round) == [("user_a", 1), ("user_a", 1)]
    assert written(run_round) == [("user_a", 1)]
    assert run_round.lanes.by_lane[lane] == await run_round.state.writer()


async def test_lanes_whose_claims_were_lost_behind_the_relays_back_are_claimed_again_before_their_state_is_written():
    run_round = relay(message("a", 1), message("b", 1), message("c", 1))
    await run_round(ALL, 1)
    # The standby that was promoted knows of no claim, and no call of this relay failed.
    run_round.lanes.by_lane = {lane_of("user_b"): "the frozen"}

    lost = await run_round(ALL, 1)
    before = list(written(run_round))
    await run_round(ALL, 10)

    assert (lost.taken, len(lost.published), lost.outage) == (1, 0, None)
    assert (before, written(run_round)) == ([("user_a", 1)], [("user_a", 1), ("user_b", 1), ("user_c", 1)])
    assert delivered(run_round) == [("user_a", 1), ("user_b", 1), ("user_c", 1)]
    assert run_round.state.fenced == ["the frozen"]
    assert set(run_round.lanes.by_lane.values()) == {await run_round.state.writer()}
    assert await left(run_round) == []


async def test_a_version_whose_successor_is_lost_while_it_is_sent_is_written_after_all():
    run_round = relay(message("a", 1), message("a", 2))

    class FailsOver(MemoryStatePublisher):
        async def publish(self, writer, batch):
            done = await super().publish(writer, batch)
            run_round.lanes.newest_versions["user_a"] = 1
            del run_round.outbox.rows[1:]
            return done

    run_round.state = FailsOver()
    await run_round(ALL, 1)
    first = list(written(run_round))
    await run_round(ALL, 1)

    assert (first, written(run_round)) == ([], [("user_a", 1)])
    assert await left(run_round) == []


async def test_an_event_whose_version_was_stored_again_behind_the_relays_back_is_published_again():
    run_round = relay(message("a", 1), state={1: "cut"})
    await run_round(ALL, 10)  # the event topic has it, the state topic has not

    # The database failed over without it while the relay did not ask: the id, made of key and version, is the same.
    [row] = run_round.outbox.rows
    run_round.outbox.rows[:] = [evolve(row, stored_at=row.stored_at + 1)]
    await run_round(ALL, 10)

    assert delivered(run_round) == [("user_a", 1), ("user_a", 1)]


async def test_lanes_that_another_relay_holds_are_not_touched():
    run_round = relay(message("a", 1), message("b", 1))
    run_round.lanes.owners = {lane_of("user_a"): "another"}

    await run_round(ALL, 10)

    assert await left(run_round) == [1]
    assert delivered(run_round) == [("user_b", 1)]


async def test_what_waits_for_the_state_topic_alone_comes_after_the_events_and_stays_out_of_their_topic():
    run_round = relay(message("a", 1))
    filled = message("b", 4)
    run_round.lanes.newest_versions["user_b"] = 4
    run_round.outbox.rows.insert(0, Pending(id=7, lane=fill_lane(lane_of("user_b")), stored_at=0, message=filled))

    done = await run_round(ALL, 10)

    assert done.taken == 2
    assert delivered(run_round) == [("user_a", 1)]
    assert set(written(run_round)) == {("user_a", 1), ("user_b", 4)}
    assert await left(run_round) == []


async def test_a_filled_version_that_was_overtaken_is_dropped():
    run_round = relay()
    run_round.lanes.newest_versions["user_b"] = 5
    run_round.outbox.rows.append(Pending(id=7, lane=fill_lane(lane_of("user_b")), stored_at=0, message=message("b", 4)))

    await run_round(ALL, 10)

    assert (written(run_round), await left(run_round)) == ([], [])


async def test_what_waited_for_the_state_topic_alone_goes_to_the_event_topic_once_it_became_an_event():
    run_round = relay(state={7: "NotEnoughReplicas"})
    run_round.lanes.newest_versions["user_b"] = 4
    filled = Pending(id=7, lane=fill_lane(lane_of("user_b")), stored_at=0, message=message("b", 4))
    run_round.outbox.rows.append(filled)

    await run_round(ALL, 10)
    run_round.outbox.rows[:] = [evolve(filled, lane=lane_of("user_b"))]  # its dead letter was retried
    await run_round(ALL, 10)

    assert (delivered(run_round), await left(run_round)) == ([("user_b", 4)], [])
