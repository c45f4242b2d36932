"""`Reconcile` over fakes: what it repairs, and what it leaves alone."""

from application.errors import UnstorableError
from application.users.ports import Unreadable
from domain.snapshot import Deletion
from domain.user import Tombstone, UserId
from support.memory import living
from support.reconciling import NOW, clerk_user, name


async def test_equal_tables_give_no_difference_no_event_and_no_write(world):
    before = dict(world.users.rows)

    assert await world.reconcile() == {}
    assert world.events == []
    assert all(world.users.rows[user_id] is row for user_id, row in before.items())
    assert (world.tally.listed, world.tally.at_clerk, world.tally.left) == (20, 20, 0)


async def test_missing_stale_and_gone_users_are_repaired_with_one_event_each(world):
    world.clerk.put(clerk_user(3, at=90_000, first_name="Grace"))
    world.clerk.put(clerk_user(50))
    del world.clerk.users[name(7)]

    differences = await world.reconcile()

    assert differences == {name(3): "stale", name(50): "missing", name(7): "gone"}
    assert sorted(world.events) == [(name(3), 2, "updated"), (name(7), 2, "deleted"), (name(50), 1, "created")]
    assert isinstance(world.users.rows[name(7)], Tombstone)
    assert living(world.users.rows[name(3)]).profile.first_name == "Grace"
    assert [item.detail for item in world.told if item.drift == "stale"] == ["first_name"]
    assert await world.reconcile() == {}


async def test_a_dry_run_tells_the_same_and_writes_nothing(world):
    world.clerk.put(clerk_user(3, at=90_000, first_name="Grace"))
    world.clerk.put(clerk_user(4, at=90_000))
    world.clerk.put(clerk_user(50))
    del world.clerk.users[name(7)]
    before = dict(world.users.rows)

    differences = await world.reconcile(dry_run=True)

    assert differences == {name(3): "stale!", name(50): "missing!", name(7): "gone!"}
    assert world.users.rows == before
    assert world.events == []
    assert world.checkpoints.left is None
    assert world.checkpoints.run is None


async def test_an_empty_table_is_filled(world):
    world.users.rows.clear()

    assert set((await world.reconcile()).values()) == {"missing"}
    assert len(world.events) == 20


async def test_a_sign_in_at_clerk_moves_the_place_and_makes_no_event(world):
    world.clerk.put(clerk_user(3, at=90_000))

    assert await world.reconcile() == {}
    assert world.events == []
    assert living(world.users.rows[name(3)]).source.updated_at == 90_000
    assert world.tally.moved == 1


async def test_a_user_that_cannot_be_read_is_told_and_ours_is_kept(world):
    del world.clerk.users[name(7)]
    world.clerk.unreadable[name(7)] = Unreadable(id=name(7), created_at=None, reason="data.id: wrong")

    assert await world.reconcile() == {name(7): "unreadable!"}
    assert living(world.users.rows[name(7)])
    assert world.tally.left == 1


async def test_a_page_of_nothing_but_unreadable_users_is_passed(world):
    for number in range(100, 117):
        world.clerk.unreadable[name(number)] = Unreadable(id=name(number), created_at=None, reason="?")

    assert len(await world.reconcile()) == 17
    assert world.tally.listed == 37


async def test_a_user_deleted_here_and_alive_at_clerk_stays_deleted_and_is_told(world):
    await world.delete(Deletion(id=name(7), deleted_at=5))
    world.users.outbox.clear()

    assert await world.reconcile() == {name(7): "deleted-here!"}
    assert isinstance(world.users.rows[name(7)], Tombstone)
    assert world.events == []


async def test_a_user_deleted_between_the_list_and_the_look_up_is_no_difference(world):
    await world.delete(Deletion(id=name(7), deleted_at=5))

    def delete_at_clerk(question: str) -> None:
        if question == f"get {name(7)}":
            world.clerk.users.pop(name(7), None)

    world.clerk.before_answer = delete_at_clerk

    assert await world.reconcile() == {}


async def test_what_is_newer_here_than_at_clerk_is_kept_and_told(world):
    await world.sync(clerk_user(7, at=999_000, first_name="Grace"))
    world.users.outbox.clear()

    assert await world.reconcile() == {name(7): "newer-here!"}
    assert living(world.users.rows[name(7)]).profile.first_name == "Grace"


async def test_a_webhook_that_lands_while_its_page_is_read_is_not_overwritten(world):
    # The page that is on its way still has the old state.
    old = world.clerk.users[name(7)]
    news = clerk_user(7, at=90_000, timestamp=NOW + 1, first_name="Grace")
    await world.sync(news)
    world.users.outbox.clear()

    def the_look_up_is_newer(question: str) -> None:
        world.clerk.put(news if question.startswith("get") else old)

    world.clerk.before_answer = the_look_up_is_newer

    assert await world.reconcile() == {}
    assert living(world.users.rows[name(7)]).source == news.source
    assert world.events == []


async def test_a_user_created_here_since_the_run_began_is_not_looked_for(world):
    late = clerk_user(60, created_at=NOW + 5, at=NOW + 5)
    await world.sync(late)

    assert await world.reconcile() == {}
    assert living(world.users.rows[late.id])


async def test_a_user_that_was_not_listed_and_exists_is_kept_and_brought_up_to_date(world):
    # Ours claims another time of creation than Clerk's, so it is looked for on another page.
    await world.sync(clerk_user(7, at=8_000, created_at=1))
    world.clerk.put(clerk_user(7, at=9_000))
    await world.sync(clerk_user(60, at=60_000))

    def sign_up(question: str) -> None:
        if question == f"get {name(60)}":
            world.clerk.put(clerk_user(60, at=70_000, first_name="Grace"))

    world.clerk.before_answer = sign_up

    assert await world.reconcile() == {name(7): "stale", name(60): "stale"}


async def test_a_user_that_the_database_refuses_is_told_and_the_others_are_repaired(world, monkeypatch):
    world.clerk.put(clerk_user(50))
    world.clerk.put(clerk_user(51))
    change = world.users.change

    async def refuse(self: object, user_id: UserId, decide: object) -> object:
        if user_id == name(50):
            raise UnstorableError("PostgreSQL refused it (22021)")
        return await change(user_id, decide)

    monkeypatch.setattr(type(world.users), "change", refuse)

    assert await world.reconcile() == {name(50): "unstorable!", name(51): "missing"}


async def test_since_reads_only_what_changed_since_and_finds_nobody_gone(world):
    for number in (3, 4, 5, 6, 8, 9):
        world.clerk.put(clerk_user(number, at=90_000 + number, first_name="Grace"))
    world.clerk.put(clerk_user(2, at=50_000, first_name="Grace"))
    del world.clerk.users[name(7)]

    differences = await world.reconcile(since=90_000)

    assert differences == {name(number): "stale" for number in (3, 4, 5, 6, 8, 9)}
    assert living(world.users.rows[name(7)])
    assert len([question for question in world.clerk.asked if question.startswith("recent")]) < 4


async def test_one_user_alone_is_created_brought_up_to_date_deleted_or_left_alone(world):
    world.clerk.put(clerk_user(3, at=90_000, first_name="Grace"))
    world.clerk.put(clerk_user(50))
    del world.clerk.users[name(7)]

    assert await world.reconcile(user=name(3)) == {name(3): "stale"}
    assert await world.reconcile(user=name(50)) == {name(50): "missing"}
    assert await world.reconcile(user=name(7), dry_run=True) == {name(7): "gone!"}
    assert await world.reconcile(user=name(7)) == {name(7): "gone"}
    assert await world.reconcile(user=name(99)) == {}
    assert not [question for question in world.clerk.asked if question.startswith("page")]


async def test_since_the_beginning_reads_everybody_and_ends(world):
    assert await world.reconcile(since=0) == {}
    assert world.tally.listed == 20
