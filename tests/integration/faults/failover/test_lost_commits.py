"""The bad case: an asynchronous standby that lacks the last commits becomes the primary.

Clerk does not send again what was acknowledged, and consumers have seen versions that no row has any more: what a row
gets under the same versions afterwards, they drop.
"""

import asyncio
import time
from contextlib import ExitStack
from typing import Any

import asyncpg
import httpx
import pytest

from devkit.fake_clerk.instance import ClerkInstance
from integration.conftest import create_topic
from integration.faults.test_chaos import users_of
from support import processes
from support.failover import migrated, unexpected
from support.ledger import Got, first_seen, read_topic
from support.proxy import proxy
from support.servers import free_port
from support.state_ledger import last_of_each, read_states

pytestmark = pytest.mark.faults


async def test_reconcile_and_topic_repair_bring_rows_and_consumers_to_what_clerk_has(  # noqa: PLR0915  # one story
    two_servers, tmp_path, kafka_address, topic, clerk_stand_in
):
    clerk = clerk_stand_in.instance
    await migrated(two_servers)
    await create_topic(kafka_address, f"{topic}-state", cleanup_policy="compact")
    port = free_port()
    variables = {
        **clerk_stand_in.environment,
        "DATABASE_URL": two_servers.url(),
        "KAFKA_BOOTSTRAP_SERVERS": kafka_address,
        "KAFKA_USER_EVENTS_TOPIC": topic,
        "KAFKA_USER_STATE_TOPIC": f"{topic}-state",
    }
    with ExitStack() as stack:
        link = stack.enter_context(proxy("127.0.0.1", two_servers.leader.port))
        await two_servers.replicate(synchronous=False, through=link.port)
        serve = stack.enter_context(
            processes.serve(tmp_path, variables["DATABASE_URL"], port, **clerk_stand_in.environment)
        )
        relay = stack.enter_context(processes.running(tmp_path, "relay", **variables))
        await ready(port)
        clerk_stand_in.send_webhooks_to(f"http://127.0.0.1:{port}/webhooks/clerk")

        quiet, changed, deleted = (create(clerk, name) for name in ("quiet", "changed", "deleted"))
        await consumers_have(kafka_address, topic, {quiet: 1, changed: 1, deleted: 1})
        await two_servers.caught_up()
        link.swallow()  # from here on the standby gets nothing
        clerk.update(quiet, first_name="Lost once")
        await consumers_have(kafka_address, topic, {quiet: 2})
        clerk.update(quiet, first_name="Lost twice")
        clerk.update(changed, first_name="Lost")
        clerk.delete(deleted)
        new, gone = (create(clerk, name) for name in ("new", "gone"))
        await consumers_have(kafka_address, topic, {quiet: 3, changed: 2, deleted: 2, new: 1, gone: 1})
        clerk_stand_in.wait_for_webhooks()
        with clerk.quietly():
            clerk.delete(gone)  # of which no webhook will ever tell

        two_servers.leader.kill()
        await two_servers.promote()
        await ready(port)
        clerk.update(changed, first_name="Later")
        clerk_stand_in.wait_for_webhooks()
        await published(two_servers)
        before = view(await read_topic(kafka_address, topic))
        assert before[changed]["first_name"] == "Lost"  # version 2 came again, with other content, and was dropped
        assert "deleted_at" not in before[gone]

        told = [
            run(tmp_path, variables, "reconcile", "--yes"),
            run(tmp_path, variables, "topic", "repair", "--since", "1h", "--dry-run"),
            run(tmp_path, variables, "topic", "repair", "--since", "1h"),
        ]
        await published(two_servers)
        again = run(tmp_path, variables, "topic", "repair", "--since", "1h")
        clerk.update(quiet, first_name="Next")
        clerk_stand_in.wait_for_webhooks()
        await published(two_servers)
        got = await read_topic(kafka_address, topic)
        stored = await users_of(two_servers.dsn(two_servers.leader), {quiet, changed, deleted, new, gone})
        states = last_of_each(await read_states(kafka_address, f"{topic}-state", committed=True))

    assert [status for status, _ in told] == [0, 1, 0], told
    assert told[1][1].splitlines()[-1].endswith("would be published again, above what consumers have seen.")
    assert again == (0, "0 users published again, above what consumers have seen.\n")
    after = view(got)
    assert {user_id: after[user_id].get("first_name") for user_id in (quiet, changed)} == {
        quiet: "Next",
        changed: "Later",
    }
    assert {user_id for user_id, user in after.items() if "deleted_at" in user} == {deleted, gone}
    assert {user_id: user.version for user_id, user in stored.items()} == {
        user_id: versions[-1] for user_id, versions in first_seen(got).items()
    }
    assert all(versions == list(range(1, len(versions) + 1)) for versions in first_seen(got).values())
    assert {user_id: state.version for user_id, state in states.items()} == {
        user_id: user.version for user_id, user in stored.items()
    }
    assert {user_id for user_id, state in states.items() if state.data is None} == {deleted, gone}
    assert unexpected(serve, relay) == []


def create(clerk: ClerkInstance, name: str) -> str:
    return clerk.create(email_address=[f"{name}@example.com"], first_name=name)["id"]


def view(records: list[Got]) -> dict[str, dict[str, Any]]:
    """Return what a consumer holds that drops every version it has seen."""
    held: dict[str, dict[str, Any]] = {}
    for record in records:
        if record.key not in held or record.version > held[record.key]["version"]:
            held[record.key] = record.data["user"]
    return held


def run(folder, variables: dict[str, str], *arguments: str) -> tuple[int, str]:
    with processes.running(folder, *arguments, **variables) as process:
        return process.popen.wait(90), process.text()


async def ready(port: int) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/health/ready")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)


async def consumers_have(kafka: str, topic: str, versions: dict[str, int]) -> None:
    deadline = time.monotonic() + 60
    while True:
        newest = {key: seen[-1] for key, seen in first_seen(await read_topic(kafka, topic)).items()}
        if all(newest.get(key, 0) >= version for key, version in versions.items()):
            return
        assert time.monotonic() < deadline, (newest, versions)


async def published(both) -> None:
    """Wait until nothing is left in the outbox."""
    connection = await asyncpg.connect(both.dsn(both.leader))
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT count(*) FROM outbox"):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
