"""Revocations of the TypeScript package, on a real Kafka."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from devkit.conformance.consumer_vectors import record
from devkit.servers.ports import free_port
from integration.conftest import create_topic
from support import servers
from support.typescript_project import NODES, Project

pytestmark = pytest.mark.programs

LINE_S = 90


class Program:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._in, self._out = process, process.stdin, process.stdout

    async def line(self) -> str:
        async with asyncio.timeout(LINE_S):
            return (await self._out.readline()).decode().strip()

    async def worth(self, session: str, user: str) -> str:
        self._in.write(f"{session} {user}\n".encode())
        return await self.line()

    async def becomes(self, verdict: str, session: str, user: str) -> None:
        async with asyncio.timeout(LINE_S):
            while await self.worth(session, user) != verdict:
                await asyncio.sleep(0.1)

    async def end(self) -> None:
        self._in.close()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def following(project: Project, *arguments: str, node: str = "node") -> AsyncIterator[Program]:
    shutil.copy(Path(__file__).with_name("revocations.mjs"), project.folder)
    process = await asyncio.create_subprocess_exec(
        *(node, "revocations.mjs", *arguments),
        cwd=project.folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    program = Program(process)
    try:
        yield program
    finally:
        await program.kill()


async def test_ended_sessions_and_banned_and_deleted_users_are_refused(project, kafka_address, topic):
    sessions = f"{topic}-sessions"
    await create_topic(kafka_address, sessions)

    async with AIOKafkaProducer(bootstrap_servers=kafka_address) as producer:

        async def publish(to: str, whose: str, session: str = "sess_1", **row: object) -> None:
            made = record(row, whose, session)
            await producer.send_and_wait(to, made.value, key=made.key, headers=list(made.headers))

        await publish(sessions, "user_a", "sess_before", event="revoked")
        await publish(topic, "user_banned", event="updated", version=5, user={"banned": True})
        async with following(project, kafka_address, sessions, topic, "refuse") as program:
            assert await program.line() == "current"
            assert await program.worth("sess_before", "user_a") == "session-revoked"
            assert await program.worth("sess_other", "user_banned") == "user-banned"
            assert await program.worth("sess_good", "user_good") == "good"

            await publish(sessions, "user_a", "sess_x", event="revoked", headers={"ce_type": "anomalyze.session.x.v9"})
            await publish(sessions, "user_a", "sess_live", event="revoked")
            await publish(topic, "user_gone", event="deleted", version=2)
            await publish(topic, "user_banned", event="updated", version=6)
            await program.becomes("session-revoked", "sess_live", "user_a")
            await program.becomes("user-deleted", "sess_good", "user_gone")
            await program.becomes("good", "sess_other", "user_banned")
            await publish(topic, "user_banned", event="updated", version=5, user={"banned": True})
            await publish(topic, "user_gone", event="created", version=9)
            await publish(sessions, "user_a", "sess_last", event="revoked")
            await program.becomes("session-revoked", "sess_last", "user_a")
            assert await program.worth("sess_other", "user_banned") == "good"
            assert await program.worth("sess_good", "user_gone") == "user-deleted"
            assert await program.worth("sess_x", "user_a") == "good"

            await program.end()
            assert await program.line() == "RevocationsUnavailable"

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_address)
    await admin.start()
    groups = [name for name, *_ in await admin.list_consumer_groups() if name.startswith("anomalyze-auth-revocations-")]
    for group in groups:
        assert await admin.list_consumer_group_offsets(group) == {}
    await admin.close()


async def test_without_a_kafka_it_is_stale_and_says_what_it_was_told_to(project):
    nowhere = f"127.0.0.1:{free_port()}"

    async with following(project, nowhere, "sessions", "users", "allow") as program:
        assert await program.line() == "stale"
        assert await program.worth("sess_good", "user_good") == "good"


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
async def test_an_outage_is_what_the_policy_says_and_everything_is_known_after_it(project, node):
    with servers.kafka() as kafka:
        for name in ("sessions", "users"):
            await create_topic(kafka.address, name, partitions=3)

        async def revoke(session: str) -> None:
            made = record({"event": "revoked"}, "user_a", session)
            async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
                await producer.send_and_wait("sessions", made.value, key=made.key, headers=list(made.headers))

        await revoke("sess_before")
        arguments = (kafka.address, "sessions", "users")
        async with (
            following(project, *arguments, "refuse", "2", node=node) as strict,
            following(project, *arguments, "allow", "2", node=node) as lenient,
        ):
            for each in (strict, lenient):
                await each.line()
                await each.becomes("session-revoked", "sess_before", "user_a")
            await asyncio.to_thread(kafka.kill)
            await strict.becomes("RevocationsUnavailable", "sess_1", "user_a")
            for _ in range(50):
                assert await strict.worth("sess_1", "user_a") == "RevocationsUnavailable"
                assert await lenient.worth("sess_1", "user_a") == "good"
                for each in (strict, lenient):
                    assert await each.worth("sess_before", "user_a") == "session-revoked"
                await asyncio.sleep(0.05)
            async with following(project, *arguments, "allow", "2", node=node) as late:
                assert await late.line() == "stale"
                assert await late.worth("sess_before", "user_a") == "good"  # nothing is known, and so it was told to
                await asyncio.to_thread(kafka.start)
                await revoke("sess_after")
                for each in (strict, lenient, late):
                    await each.becomes("session-revoked", "sess_after", "user_a")
                    assert await each.worth("sess_before", "user_a") == "session-revoked"
                    await each.becomes("good", "sess_1", "user_a")
