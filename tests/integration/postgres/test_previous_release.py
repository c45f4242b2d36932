"""The release before this one on this one's schema, beside this one's processes: as while a version is rolled out."""

import asyncio
import os
import zipfile
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from devkit.fake_clerk.samples import sample_session
from devkit.servers.ports import free_port
from integration.conftest import create_topic
from support.ledger import faults, read_records, read_topic_until
from support.load import until_ready
from support.processes import running
from support.python_path import PYTHON_PATH
from support.web import bearer, created, deleted, environment, event, signed

FROZEN = Path(__file__).parents[2] / "fixtures" / "previous-release.zip"
"""Its source, as `make freeze` keeps it: a CI clone has no history to look into."""

USERS = [f"user_rolled{number}" for number in range(12)]


@pytest.fixture(scope="module")
def previous(tmp_path_factory):
    """Variables with which `auth-service` is the previous release, in the packages of this one."""
    folder = tmp_path_factory.mktemp("previous")
    with zipfile.ZipFile(FROZEN) as archive:
        archive.extractall(folder)
    return {"PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder / "sdk" / "src"), PYTHON_PATH])}


@pytest.fixture
def start(tmp_path, database_url):
    with ExitStack() as stack:

        def started(*arguments, **variables):
            known = environment(DATABASE_URL=database_url)
            return stack.enter_context(running(tmp_path, *arguments, **{**known, **variables}))

        yield started


@pytest.fixture
def serve(start):
    @asynccontextmanager
    async def started(**variables):
        port = free_port()
        start("serve", "--port", str(port), **variables)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            await until_ready(client)
            yield client

    return started


async def deliver(client, body):
    answer = await client.post("/webhooks/clerk", content=body, headers=signed(body))
    answer.raise_for_status()
    return answer.json()["outcome"]


def test_the_frozen_release_knows_an_older_schema(previous):
    versions = Path(previous["PYTHONPATH"].split(os.pathsep)[0]) / "adapters/postgres/migrations/versions"
    here = Path(__file__).parents[3] / "src/adapters/postgres/migrations/versions"

    known = {path.name for path in versions.glob("0*.py")}
    assert known < {path.name for path in here.glob("0*.py")}
    for name in known:  # a migration that was released is never edited: databases have run it
        assert (versions / name).read_text() == (here / name).read_text()


async def test_both_releases_serve_and_relay_the_same_users_from_one_database(
    previous, start, serve, kafka_address, topic, database_url
):
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": kafka_address, "KAFKA_USER_EVENTS_TOPIC": topic}
    start("relay", **kafka, **previous)
    start("relay", **kafka)
    async with serve(**previous) as old, serve() as new:
        outcomes = []
        for turn, client in enumerate([old, new, old, new, new, old]):
            at = 1_700_000_000_000 + turn
            outcomes += [await deliver(client, created(user, at=at, first_name=f"Ada {turn}")) for user in USERS]
        seen = [(await each.get("/v1/me", headers=bearer(USERS[0]))).json() for each in (old, new)]
        gone = [await deliver(old, deleted(USERS[0])), await deliver(new, deleted(USERS[1]))]
        late = [await deliver(each, created(user, at=1_800_000_000_000)) for each in (new, old) for user in USERS[:2]]

    assert outcomes == ["created"] * len(USERS) + ["updated"] * 5 * len(USERS)
    before, after = seen
    assert before.keys() <= after.keys()  # a release adds fields and takes none away
    assert before == {name: after[name] for name in before}
    assert (before["version"], before["first_name"]) == (6, "Ada 5")
    assert gone == ["deleted", "deleted"]
    assert late == ["stale"] * 4
    newest = dict.fromkeys(USERS, 6) | dict.fromkeys(USERS[:2], 7)
    got = await read_topic_until(kafka_address, topic, newest)
    assert faults(got, newest) == []


async def test_the_previous_release_leaves_the_ends_of_sessions_to_this_one(
    previous, start, serve, kafka_address, topic, database_url
):
    sessions = f"{topic}-sessions"
    await create_topic(kafka_address, sessions)
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": kafka_address, "KAFKA_USER_EVENTS_TOPIC": topic}
    old_relay = start("relay", **kafka, **previous)
    await asyncio.to_thread(old_relay.wait_for, "lanes held")
    async with serve(**previous) as old, serve() as new:
        end = event("session.ended", sample_session("sess_1", USERS[0], now_ms=1))
        outcomes = [await deliver(each, end) for each in (old, new, new)]
        outcomes += [await deliver(old, created(USERS[0]))]
        refused = await new.get("/v1/me", headers=bearer(USERS[0], sid="sess_1"))
    await read_topic_until(kafka_address, topic, {USERS[0]: 1})
    status = start("outbox", "status", **previous).popen.wait(30)
    await asyncio.sleep(2)  # time enough to do what it must not
    among_users = {record.key for record in await read_records(kafka_address, topic)}
    start("relay", KAFKA_SESSION_EVENTS_TOPIC=sessions, **kafka)
    await asyncio.to_thread(old_relay.stop, 20)
    deadline = asyncio.get_running_loop().time() + 30
    while not (found := await read_records(kafka_address, sessions)):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.2)

    assert outcomes == ["ignored", "revoked", "unchanged", "created"]
    assert refused.json()["code"] == "session-revoked"
    assert (status, among_users) == (0, {USERS[0].encode()})
    assert [record.key for record in found] == [b"sess_1"]


async def test_the_previous_releases_commands_read_and_mend_the_outbox(previous, start, database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO outbox_dead (key, version, id, lane, event_id, type, occurred_at, payload, created_at, error,"
        " attempts) VALUES ('user_1', 1, 1, 1, gen_random_uuid(), 't', now(), '', now(), 'too large', 1)"
    )
    commands = (["outbox", "status"], ["outbox", "dead"], ["outbox", "retry", "1"])
    codes = [start(*arguments, **previous).popen.wait(30) for arguments in commands]
    waiting = await connection.fetchval("SELECT count(*) FROM outbox WHERE key = 'user_1'")
    await connection.close()

    assert codes == [0, 0, 0]
    assert waiting == 1
