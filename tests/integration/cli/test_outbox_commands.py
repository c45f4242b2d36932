"""`auth-service outbox …` as a person and as a script use it, on a real database."""

import asyncio
import json
import subprocess
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from attrs import define

from adapters.kafka.cloudevents import encode
from adapters.postgres import outbox_admin
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.lane_leases import PostgresLaneLeases
from adapters.postgres.outbox import PostgresOutbox
from adapters.postgres.outbox_admin import PostgresOutboxAdmin
from adapters.postgres.user_store import PostgresUserStore
from application.relay.lane_leases import LaneShare
from application.relay.lanes import LANES, lane_of
from application.relay.messages import Pending, RefusedMessage
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from domain.user import UserId
from support import commands
from support.users import deletion, snapshot


@define
class Stage:
    """A database with an outbox, and the commands on it."""

    database_url: str
    folder: Path
    store: PostgresUserStore
    outbox: PostgresOutbox
    leases: PostgresLaneLeases

    async def run(self, *arguments: str, url: str | None = None) -> "subprocess.CompletedProcess[str]":
        variables = {"DATABASE_URL": url or self.database_url}
        return await asyncio.to_thread(commands.run, "outbox", *arguments, cwd=self.folder, env=variables)

    async def change(self, user: str, at: int) -> None:
        news = snapshot(UserId(user), at=at, first_name=f"Ada {at}")
        await self.store.change(news.id, partial(sync_user, snapshot=news))

    async def waiting(self) -> list[Pending]:
        return await self.outbox.oldest(range(LANES), 100)

    async def die(self, user: str) -> int:
        """Make a dead letter of the user's first event that waits, and return its id."""
        pending = next(item for item in await self.waiting() if item.message.key == user)
        await self.outbox.move_to_dead_letters([RefusedMessage(pending, "MessageSizeTooLargeError", 2)])
        [(number,)] = await self.rows(f"SELECT id FROM outbox_dead WHERE event_id = '{pending.message.event_id}'")
        return int(str(number))

    async def rows(self, statement: str) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()


@pytest.fixture
async def stage(database_url: str, tmp_path: Path):
    engine = create_engine(read_target(database_url), pool_size=2, application_name="tests")
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    yield Stage(database_url, tmp_path, store, PostgresOutbox(engine), PostgresLaneLeases(engine))
    await store.aclose()
    await engine.dispose()


async def test_status_tells_what_waits_who_carries_it_and_what_holds_back_vacuum(stage):
    for at in (1000, 2000):
        await stage.change("user_a", at)
    await stage.change("user_b", 1000)
    await stage.die("user_b")
    await stage.leases.read("relay-one")
    await stage.leases.write("relay-one", LaneShare(frozenset(range(10)), frozenset()))
    # However long the command takes to start.
    await stage.rows("UPDATE relay SET seen_at = seen_at + interval '1 hour'")
    await stage.rows("UPDATE outbox_lane SET lease_until = lease_until + interval '1 hour'")

    answer = await stage.run("status", "--json")

    assert answer.returncode == 0, answer.stderr
    status = json.loads(answer.stdout)
    lanes = {lane.pop("lane"): lane for lane in status["lanes"]}
    assert (status["waiting"], status["dead"], status["published_per_second"]) == (2, 1, 0)
    assert 0 < status["oldest_seconds"] < 60
    assert [(relay["name"], relay["alive"]) for relay in status["relays"]] == [("relay-one", True)]
    assert len(lanes) == LANES
    assert [lane for lane, facts in lanes.items() if facts["waiting"]] == [lane_of("user_a")]
    assert {lane for lane, facts in lanes.items() if facts["owner"] == "relay-one"} == set(range(10))
    assert status["vacuum_blocker"] is None


async def test_status_is_a_table_for_people(stage):
    await stage.change("user_a", 1000)
    await stage.leases.read("relay-[bold]one")

    answer = await stage.run("status")

    assert answer.returncode == 0, answer.stderr
    assert "waiting" in answer.stdout
    assert "relay-[bold]one" in answer.stdout
    assert "nobody" in answer.stdout


async def test_dead_lists_the_letters_without_their_data(stage):
    await stage.change("user_a", 1000)
    number = await stage.die("user_a")

    as_json = await stage.run("dead", "--json")
    as_table = await stage.run("dead")

    letter = json.loads(as_json.stdout)
    assert (letter["id"], letter["key"], letter["version"]) == (number, "user_a", 1)
    assert (letter["type"], letter["error"], letter["attempts"], letter["erased"]) == (
        "anomalyze.user.created.v1",
        "MessageSizeTooLargeError",
        2,
        False,
    )
    assert letter["died_at"].endswith("Z")
    assert "MessageSizeTooLargeError" in as_table.stdout
    assert "ada@" not in as_json.stdout + as_table.stdout


async def test_no_dead_letters_is_said(stage):
    answer = await stage.run("dead")

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "There are no dead letters.\n")


async def test_retry_puts_the_same_event_back_in_its_place(stage):
    for at in (1000, 2000):
        await stage.change("user_a", at)
    before = await stage.waiting()
    number = await stage.die("user_a")

    answer = await stage.run("retry", str(number))

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"{number}: retried")
    assert await stage.waiting() == before
    assert await stage.rows("SELECT id FROM outbox_dead") == []


async def test_retry_warns_when_a_later_version_may_be_out_already(stage):
    for at in (1000, 2000):
        await stage.change("user_a", at)
    number = await stage.die("user_a")
    await stage.outbox.delete(await stage.waiting())

    answer = await stage.run("retry", str(number))

    assert answer.returncode == 0
    assert "a later version" in answer.stdout


async def test_retry_refuses_what_is_unknown_discarded_or_erased_and_does_the_rest(stage):
    numbers = []
    for user in ("user_a", "user_b", "user_c"):
        await stage.change(user, 1000)
        numbers.append(await stage.die(user))
    erased, discarded, good = numbers
    gone = deletion(UserId("user_a"))
    await stage.store.change(gone.id, partial(delete_user, deletion=gone))
    await stage.run("discard", str(discarded), "--reason", "a test user", "--yes")

    answer = await stage.run("retry", str(erased), str(discarded), "999999", str(good))

    assert answer.returncode == 1
    assert answer.stdout == f"{good}: retried\n"
    assert answer.stderr.splitlines() == [
        f"{erased}: cannot be retried: its user was deleted and its payload erased",
        f"{discarded}: was discarded before, and its payload erased",
        "999999: there is no such dead letter",
    ]
    assert await stage.rows("SELECT id FROM outbox_dead ORDER BY id") == [(erased,), (discarded,)]


async def test_discard_keeps_the_trace_and_the_reason_and_erases_the_data(stage):
    await stage.change("user_a", 1000)
    number = await stage.die("user_a")

    answer = await stage.run("discard", str(number), "--reason", "larger than the topic; v2 is out", "--yes")
    again = await stage.run("discard", str(number), "--reason", "once more", "--yes")
    listed = await stage.run("dead", "--discarded", "--json")

    assert (answer.returncode, answer.stdout) == (0, f"{number}: discarded\n")
    assert again.returncode == 1
    assert await stage.rows("SELECT payload, discard_reason, discarded_at IS NOT NULL FROM outbox_dead") == [
        (None, "larger than the topic; v2 is out", True)
    ]
    assert json.loads(listed.stdout)["discard_reason"] == "larger than the topic; v2 is out"


@pytest.mark.parametrize(
    "arguments",
    [["retry"], ["discard"], ["discard", "1"], ["discard", "1", "--yes"], ["discard", "1", "--reason", " "]],
)
async def test_what_is_not_said_is_asked_for(stage, arguments):
    answer = await stage.run(*arguments)

    assert answer.returncode == 2
    assert "needed" in answer.stderr or "at least one ID" in answer.stderr


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999"])
async def test_what_is_no_id_is_refused_before_the_database_is_asked(stage, number):
    answer = await stage.run("retry", "--", number)

    assert answer.returncode not in {0, 69}
    assert "Traceback" not in answer.stderr


async def test_what_is_stored_is_counted_wherever_it_is_stored(stage):
    """Sequences say it, which may be ahead; the rate of publishing is reckoned from it."""
    admin = PostgresOutboxAdmin(stage.store._engine)
    before = await admin.status()
    for number in range(12):
        await stage.change(f"user_{number}", 1000)
    after = await admin.status()

    assert after.stored - before.stored >= 12
    assert after.waiting - before.waiting == 12


async def test_no_database_has_an_exit_status_of_its_own(stage):
    answer = await stage.run("status", url="postgresql://nobody:hush@127.0.0.1:1/none")

    assert answer.returncode == 69
    assert "DATABASE_URL" in answer.stderr
    assert "hush" not in answer.stderr + answer.stdout


async def test_a_transaction_that_holds_back_vacuum_is_named(database_url, monkeypatch):
    monkeypatch.setattr(outbox_admin, "BLOCKER_AGE_S", 0)
    engine = create_engine(read_target(database_url), pool_size=1, application_name="tests")
    old = await asyncpg.connect(database_url, server_settings={"application_name": "a report"})
    await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")

    status = await PostgresOutboxAdmin(engine).status()
    await old.close()
    await engine.dispose()

    assert status.vacuum_blocker is not None
    assert status.vacuum_blocker.kind == "session"
    assert status.vacuum_blocker.name.endswith(" a report")
