"""Every user that Clerk has is read, whatever happens to the list meanwhile."""

import pytest

from support.reconciling import clerk_user


@pytest.mark.parametrize("count", [1, 4, 5, 6, 12])
async def test_any_number_of_users_created_in_one_millisecond_is_read(world, count):
    for number in range(100, 100 + count):
        world.clerk.put(clerk_user(number, created_at=7_000))

    assert len(await world.reconcile()) == count
    assert world.tally.listed == 20 + count


@pytest.mark.parametrize("given", [2, 3, 4])
async def test_a_clerk_that_gives_fewer_than_it_was_asked_for_is_read_to_the_end(world, monkeypatch, given):
    for number in range(100, 107):
        world.clerk.put(clerk_user(number, created_at=7_000))
    real = type(world.clerk).page

    async def few(self: object, *, limit: int, **where: int) -> object:
        return await real(world.clerk, limit=min(limit, given), **where)

    monkeypatch.setattr(type(world.clerk), "page", few)

    assert len(await world.reconcile()) == 7
    assert world.tally.listed == 27


async def test_sign_ups_without_end_do_not_keep_the_run_from_ending(world):
    def sign_up(question: str) -> None:
        world.clerk.now += 1
        number = len(world.clerk.users)
        world.clerk.put(clerk_user(number, created_at=world.clerk.now, at=world.clerk.now))

    world.clerk.before_answer = sign_up

    assert set((await world.reconcile()).values()) == {"missing"}


async def test_users_of_one_millisecond_deleted_while_they_are_read_hide_no_other(world):
    crowd = [clerk_user(number, created_at=7_000) for number in range(100, 120)]
    for user in crowd:
        world.clerk.put(user)

    def delete_many(question: str) -> None:
        if question == "page 7000+6":
            for user in crowd[:6]:
                world.clerk.users.pop(user.id, None)

    world.clerk.before_answer = delete_many
    await world.reconcile()

    assert "page 7000+6" in world.clerk.asked
    assert {user.id for user in crowd[6:]} <= set(world.users.rows)
