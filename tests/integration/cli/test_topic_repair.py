"""`auth-service topic repair` after versions went back, on a real database and a real Kafka."""

import asyncio

import pytest

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.outbox import PostgresOutbox
from application.relay.lanes import LANES
from entrypoints.cli.exit_codes import EX_DATAERR
from support.ledger import read_topic
from support.publishing import publisher_to
from support.users_stage import Answer, Stage


@pytest.fixture
def repair(stage: Stage, kafka_address: str, topic: str):
    async def run(*options: str) -> Answer:
        return await stage.run(
            *("repair", "--since", "1h", *options),
            command="topic",
            KAFKA_BOOTSTRAP_SERVERS=kafka_address,
            KAFKA_USER_EVENTS_TOPIC=topic,
        )

    return run


async def test_users_whose_versions_went_back_are_published_above_what_consumers_have_seen(
    stage, repair, kafka_address, topic
):
    for user in ("user_well", "user_changed", "user_lost", "user_gone"):
        await stage.sign_up(user, first_name="Ada")
    await stage.rows("CREATE TABLE backup AS SELECT * FROM users WHERE id = 'user_changed'")
    stage.clerk.instance.update("user_changed", first_name="Augusta")
    await stage.take_in(stage.clerk.instance.get("user_changed"))
    await publish(stage, kafka_address, topic)
    # What a failover loses: a version, and whole users, of whom Clerk has deleted one meanwhile.
    await stage.rows("DELETE FROM users WHERE id IN ('user_changed', 'user_lost', 'user_gone')")
    await stage.rows("INSERT INTO users SELECT * FROM backup")
    stage.clerk.instance.delete("user_gone")

    planned = await repair("--dry-run")
    untouched = await stage.events()
    done = await repair()
    again = await repair()
    waiting = await stage.events()
    await publish(stage, kafka_address, topic)

    ill = {"user_changed", "user_lost", "user_gone"}
    assert (planned.returncode, {*planned.stdout.split()[:3]}) == (1, ill), planned.stderr
    assert untouched == []
    assert (done.returncode, {*done.stdout.split()[:3]}) == (0, ill), done.stderr
    assert again.stdout == "0 users published again, above what consumers have seen.\n"
    assert {(user, version) for user, version, _ in waiting} == {
        ("user_changed", 3),
        ("user_lost", 2),
        ("user_gone", 2),
    }
    newest = {record.key: record.data["user"] for record in await read_topic(kafka_address, topic)}
    assert newest["user_changed"]["first_name"] == "Augusta"
    assert newest["user_lost"]["first_name"] == "Ada"
    assert "deleted_at" in newest["user_gone"]
    assert newest["user_well"]["version"] == 1


async def test_nobody_is_deleted_when_clerk_knows_none_of_our_users(stage, repair, kafka_address, topic):
    for user in ("user_well", "user_lost"):
        await stage.sign_up(user)
    await publish(stage, kafka_address, topic)
    await stage.rows("DELETE FROM users WHERE id = 'user_lost'")
    for user in ("user_well", "user_lost"):
        stage.clerk.instance.delete(user)  # as the keys of another instance would have it

    refused = await repair()

    assert refused.returncode == EX_DATAERR, refused.stdout
    assert await stage.events() == []


async def test_a_user_who_cannot_be_stored_is_named_and_keeps_nobody_else_from_repair(
    stage, repair, kafka_address, topic
):
    for user in ("user_a", "user_b"):
        await stage.sign_up(user)
    await publish(stage, kafka_address, topic)
    await stage.rows("DELETE FROM users")
    stage.clerk.instance.update("user_a", first_name="\0")

    done = await repair()

    assert (done.returncode, done.stdout) == (EX_DATAERR, "user_b\n"), done.stderr
    assert done.stderr.startswith("user_a: ")
    assert await stage.events() == [("user_b", 2, "updated")]


async def publish(stage: Stage, kafka: str, topic: str) -> None:
    """Do what a relay does."""
    engine = create_engine(read_target(stage.database_url), pool_size=1, application_name="tests")
    outbox, publisher = PostgresOutbox(engine), publisher_to(kafka, topic)
    try:
        waiting = await outbox.oldest(range(LANES), 100)
        async with asyncio.timeout(30):
            await outbox.delete((await publisher.publish(waiting)).acknowledged)
    finally:
        await publisher.aclose()
        await engine.dispose()
