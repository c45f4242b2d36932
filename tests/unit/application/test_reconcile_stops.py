"""When a reconcile rather stops than deletes, waits for others, and goes on where it was."""

import asyncio

import pytest

from application.errors import (
    ClerkKeyRefusedError,
    ClerkLimitedError,
    ClerkRefusedError,
    ClerkUnavailableError,
    SafetyStopError,
    StoreUnavailableError,
)
from application.reconcile.checkpoint import RESUMED_FOR_MS
from application.reconcile.drift import DeletionLimit
from domain.user import Tombstone, UserId
from support.memory import living
from support.reconciling import World, clerk_user, name


async def test_an_empty_list_stops_the_run_before_anything(world):
    world.clerk.users.clear()

    with pytest.raises(SafetyStopError, match="no user at all, and we hold 20"):
        await world.reconcile()
    assert world.events == []


async def test_another_instance_stops_the_run_before_anything(world):
    world.clerk.users = {name(number): clerk_user(number) for number in range(100, 140)}

    with pytest.raises(SafetyStopError, match="none of those we looked up"):
        await world.reconcile()
    assert world.events == []


async def test_many_fewer_users_at_clerk_than_here_stop_the_run_before_anything(world):
    for number in range(1, 15):
        del world.clerk.users[name(number)]

    with pytest.raises(SafetyStopError, match="Clerk has 6, so more than 10 would be deleted"):
        await world.reconcile()
    assert world.events == []


async def test_many_users_gone_stop_the_run_and_nobody_is_deleted(world):
    for number in range(1, 15):
        del world.clerk.users[name(number)]
        world.clerk.put(clerk_user(100 + number))

    with pytest.raises(SafetyStopError, match="more than 10 of the 20"):
        await world.reconcile()
    assert "deleted" not in {kind for _, _, kind in world.events}
    assert {item.drift for item in world.told if not item.repaired} == {"gone"}


async def test_nobody_is_deleted_without_a_yes_and_the_rest_is_repaired(world):
    world.clerk.put(clerk_user(3, at=90_000, first_name="Grace"))
    del world.clerk.users[name(7)]
    world.agrees = False

    assert await world.reconcile() == {name(3): "stale", name(7): "gone!"}
    assert (world.asked, world.tally.left) == ([[name(7)]], 1)
    assert world.events == [(name(3), 2, "updated")]

    world.agrees = True
    assert await world.reconcile() == {name(7): "gone"}
    assert await world.reconcile() == {}
    assert world.asked == [[name(7)], [name(7)]]


async def test_somebody_may_say_that_so_many_are_to_be_deleted(world):
    for number in range(1, 15):
        del world.clerk.users[name(number)]

    differences = await world.reconcile(allowance=DeletionLimit(share=0, at_least=14, explicit=True))

    assert list(differences.values()) == ["gone"] * 14
    world.clerk.users.clear()
    assert len(await world.reconcile(allowance=DeletionLimit(share=1, at_least=0, explicit=True))) == 6


async def test_a_list_cut_short_deletes_nobody(world):
    world.clerk.counts = 31

    with pytest.raises(SafetyStopError, match="counts 31 users and listed 20"):
        await world.reconcile()


async def test_a_list_with_holes_deletes_nobody_and_does_not_ask_for_everybody(world, monkeypatch):
    shown = {name(number) for number in range(0, 20, 4)}
    real = type(world.clerk).page

    async def holes(self: object, **where: int) -> object:
        return [user for user in await real(world.clerk, **where) if user.id in shown]

    monkeypatch.setattr(type(world.clerk), "page", holes)

    with pytest.raises(SafetyStopError, match="did not list"):
        await world.reconcile()
    assert world.events == []


async def test_a_list_in_another_order_stops_the_run(world, monkeypatch):
    real = type(world.clerk).page

    async def newest_first(self: object, **where: int) -> object:
        return list(reversed(await real(world.clerk, **where)))

    monkeypatch.setattr(type(world.clerk), "page", newest_first)

    with pytest.raises(ClerkUnavailableError, match="order"):
        await world.reconcile()
    assert world.events == []


async def test_limits_and_short_outages_are_waited_out(world):
    world.clerk.put(clerk_user(50))
    faults = [
        ClerkLimitedError("429", retry_after_s=7),
        ClerkUnavailableError("500"),
        StoreUnavailableError("no database"),
    ] * 5

    def fail(question: str) -> None:
        if faults and question.startswith("page"):
            raise faults.pop()

    world.clerk.before_answer = fail

    assert await world.reconcile() == {name(50): "missing"}
    assert sorted(set(world.waited)) == [
        "Clerk: out of reach (500)",
        "Clerk: rate limited (429)",
        "PostgreSQL: no answer in time (no database)",
    ]
    assert world.seconds > 35


async def test_a_user_about_whom_alone_clerk_has_no_answer_is_told_and_kept(world):
    for number in (0, 7):  # the oldest, which is in the sample, is one
        del world.clerk.users[name(number)]

    def fail(question: str) -> None:
        if question in {f"get {name(0)}", f"get {name(7)}"}:
            raise ClerkUnavailableError("data.created_at: wrong")

    world.clerk.before_answer = fail

    assert await world.reconcile() == {name(0): "unreadable!", name(7): "unreadable!"}
    assert living(world.users.rows[name(7)])
    assert world.seconds < 300


async def test_a_look_up_during_an_outage_is_waited_out(world):
    del world.clerk.users[name(7)]
    faults = [ClerkUnavailableError("down")] * 12 + [ClerkLimitedError("429", retry_after_s=1)] * 6

    def fail(question: str) -> None:
        if faults and not question.startswith("page") and world.tally.listed:
            raise faults.pop()

    world.clerk.before_answer = fail

    assert await world.reconcile() == {name(7): "gone"}
    assert faults == []


async def test_a_key_that_clerk_refuses_is_not_waited_for(world):
    def refuse(_: str) -> None:
        raise ClerkKeyRefusedError("401")

    world.clerk.before_answer = refuse

    with pytest.raises(ClerkKeyRefusedError):
        await world.reconcile()
    assert world.waited == []


async def test_a_long_outage_stops_the_run_and_the_next_one_goes_on(world):
    for number in (2, 17):
        world.clerk.put(clerk_user(number, at=90_000, first_name="Grace"))
    del world.clerk.users[name(1)]

    def fail(question: str) -> None:
        if question.startswith("page") and int(question[5:].partition("+")[0]) >= 12_000:
            raise ClerkUnavailableError("down")

    world.clerk.before_answer = fail
    with pytest.raises(ClerkUnavailableError):
        await world.reconcile()
    before = world.tally
    world.clerk.before_answer = lambda _: None
    world.clerk.asked.clear()

    assert before.repaired == {"stale": 1}
    assert await world.reconcile() == {name(17): "stale", name(1): "gone"}
    assert f"get {name(1)}" in world.clerk.asked
    assert "page 0+0" not in world.clerk.asked
    assert (world.tally.resumed, world.tally.listed, world.tally.repaired.total()) == (True, 19, 3)
    assert world.checkpoints.left is None


async def test_an_interrupted_run_is_begun_anew_when_told_to_or_after_a_day(world):
    async def interrupted() -> None:
        def fail(question: str) -> None:
            if question.startswith("page 12"):
                raise ClerkRefusedError("no", status=403, codes=())

        world.clerk.before_answer = fail
        with pytest.raises(ClerkRefusedError):
            await world.reconcile()
        world.clerk.before_answer = lambda _: None
        world.clerk.asked.clear()

    for clock_of_the_next_machine in (0, -3_600_000):
        await interrupted()
        world.clerk.now += clock_of_the_next_machine
        await world.reconcile(restart=True)
        assert "page 0+0" in world.clerk.asked

    await interrupted()
    world.clerk.now += RESUMED_FOR_MS + 1
    await world.reconcile()
    assert "page 0+0" in world.clerk.asked


async def test_a_resumed_run_deletes_nobody_who_is_there_again(world):
    gone = world.clerk.users.pop(name(1))

    def stop(question: str) -> None:
        if question.startswith("page 13"):
            raise asyncio.CancelledError

    world.clerk.before_answer = stop
    with pytest.raises(asyncio.CancelledError):
        await world.reconcile()
    assert world.checkpoints.left is not None
    assert world.checkpoints.left.gone == (name(1),)
    world.clerk.before_answer = lambda _: None
    world.clerk.put(gone)

    assert await world.reconcile() == {}
    assert living(world.users.rows[name(1)])


async def test_a_run_that_is_cut_short_while_it_deletes_reads_nothing_again(world, monkeypatch):
    for number in (1, 2, 3):
        del world.clerk.users[name(number)]
    change = world.users.change

    async def cut(self: object, user_id: UserId, decide: object) -> object:
        if user_id == name(2):
            raise asyncio.CancelledError
        return await change(user_id, decide)

    with monkeypatch.context() as patch:
        patch.setattr(type(world.users), "change", cut)
        with pytest.raises(asyncio.CancelledError):
            await world.reconcile()
    world.clerk.asked.clear()
    left = {user_id for user_id in (name(1), name(2), name(3)) if not isinstance(world.users.rows[user_id], Tombstone)}

    assert name(2) in left
    assert await world.reconcile() == dict.fromkeys(left, "gone")
    assert not [question for question in world.clerk.asked if question.startswith("page")]
    assert sorted(world.events) == [(name(number), 2, "deleted") for number in (1, 2, 3)]


async def test_two_runs_at_once_make_one_event_for_each_change(world):
    world.clerk.put(clerk_user(3, at=90_000, first_name="Grace"))
    world.clerk.put(clerk_user(50))
    del world.clerk.users[name(7)]
    other = World(clerk=world.clerk, users=world.users, checkpoints=world.checkpoints)

    await asyncio.gather(world.reconcile(), other.reconcile())

    assert sorted(world.events) == [(name(3), 2, "updated"), (name(7), 2, "deleted"), (name(50), 1, "created")]
    assert world.checkpoints.left is None
