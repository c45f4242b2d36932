"""The consumers of the package's README, as they stand there, on a real Kafka."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from devkit.conformance.consumer_vectors import record
from integration.conftest import create_topic
from support import servers
from support.typescript_project import NODES, Project

pytestmark = pytest.mark.programs

TOPIC = "auth.user.events.v1"  # as the programs have it
LINE_S = 90
OUTAGE_S = 8  # the retries of @platformatic/kafka end after 3 s, unless told otherwise
SHOW_NAMES = """
let shown: string;
setInterval(() => {
  const now = JSON.stringify(Object.fromEntries(names));
  if (now !== shown) console.log((shown = now));
}, 50).unref();
"""
EVENTS = 300
STATE_TOPIC = "auth.user.state.v1"
GROUP = "greeter"


@pytest.fixture(scope="module")
def kafka() -> Iterator[servers.Server]:
    """A broker of these tests alone, because the programs name their topics and their group."""
    with servers.kafka() as server:
        yield server


@pytest.fixture(scope="module")
def consumers(project: Project) -> Project:
    """The project with some of its programs as they are tested: made to tell what they have."""
    texts = {name: (project.folder / f"{name}.ts").read_text() for name in ("kafkajs", "platformatic")}
    made = {"kafkajs-shown": texts["kafkajs"] + SHOW_NAMES}
    # Each program says what it has handled, as the one with @platformatic/kafka does.
    told = "names.set(event.userId"
    for name, text in texts.items():
        made[f"{name}-told"] = text.replace(told, f"console.log(event.kind, event.userId, event.version), {told}")
    for name, text in made.items():
        (project.folder / f"{name}.ts").write_text(text)
    project.compile_quickly(*(f"{name}.ts" for name in made))
    return project


@asynccontextmanager
async def running(
    node: str, project: Project, program: str, kafka: servers.Server
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    process = await asyncio.create_subprocess_exec(
        *(node, f"{program}.js"),
        cwd=project.folder,
        env={"KAFKA_BOOTSTRAP_SERVERS": kafka.address, "KAFKAJS_NO_PARTITIONER_WARNING": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout
    finally:
        if process.returncode is None:
            process.terminate()  # it leaves its group, which the next test's consumer would wait for otherwise
        try:
            await asyncio.wait_for(process.communicate(), LINE_S)
        finally:
            if process.returncode is None:
                process.kill()


async def until(output: asyncio.StreamReader, *wanted: str) -> list[str]:
    """Return the lines up to the first that has one of these texts."""
    lines: list[str] = []
    async with asyncio.timeout(LINE_S):
        while line := (await output.readline()).decode().rstrip():
            lines.append(line)
            if any(text in line for text in wanted):
                return lines
    raise AssertionError("\n".join(lines))


class Users:
    """Publishes what happens to users."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def tell(self, event: str, whose: str, version: int, **more: object) -> None:
        made = record({"event": event, "version": version, **more}, whose)
        await self._producer.send_and_wait(TOPIC, made.value, key=made.key, headers=list(made.headers))


@asynccontextmanager
async def users(kafka: servers.Server) -> AsyncIterator[Users]:
    """Make the topic, which is deleted in the end, and what the group has committed with it."""
    await create_topic(kafka.address, TOPIC, partitions=1)
    try:
        async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
            yield Users(producer)
    finally:
        await delete_topic(kafka, TOPIC)
        async with asyncio.timeout(LINE_S):
            while await standing(kafka, GROUP) not in {("Empty", ()), ("Dead", ())}:
                await asyncio.sleep(0.05)


async def delete_topic(kafka: servers.Server, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        await admin.delete_topics([name])
    finally:
        await admin.close()


async def standing(kafka: servers.Server, group: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return the state of a consumer group, and what it has committed, by topic, of the one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        (described,) = await admin.describe_consumer_groups([group])
        ((_, _, state, *_),) = described.groups
        offsets = await admin.list_consumer_group_offsets(group)
        return state, tuple((partition.topic, found.offset) for partition, found in offsets.items())
    finally:
        await admin.close()


async def left_by_its_member(kafka: servers.Server, group: str) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return what the group stands at when it is empty, or after a time that is less than a session's."""
    deadline = asyncio.get_running_loop().time() + 20
    while (found := await standing(kafka, group))[0] != "Empty" and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
    return found


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
async def test_the_consumer_with_kafkajs_keeps_the_names_of_the_living(
    node: str, consumers: Project, kafka: servers.Server
):
    async with users(kafka) as told:
        await told.tell("created", "user_a", 1, user={"first_name": "Ada"})
        async with running(node, consumers, "kafkajs-shown", kafka) as (_, output):
            await until(output, '{"user_a":"Ada"}')
            await told.tell("updated", "user_a", 2, value="no JSON")
            await told.tell("updated", "user_a", 3, headers={"ce_type": "anomalyze.user.updated.v2"})
            await told.tell("updated", "user_a", 3, user={"first_name": "Augusta"})
            lines = await until(output, '{"user_a":"Augusta"}')
            await told.tell("updated", "user_a", 2, user={"first_name": "Ada"})
            await told.tell("created", "user_b", 1, user={"first_name": None})
            lines += await until(output, '"user_b":null')
            await told.tell("deleted", "user_a", 4)
            lines += await until(output, '{"user_b":null}')
        assert "skipped a record that is no event: the data of anomalyze.user.updated.v1: not a JSON object" in lines
        assert [line for line in lines if line.startswith("{")] == [
            '{"user_a":"Augusta"}',
            '{"user_a":"Augusta","user_b":null}',
            '{"user_b":null}',
        ]


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
async def test_the_consumer_with_platformatic_goes_on_where_it_was(node: str, project: Project, kafka: servers.Server):
    async with users(kafka) as told:
        await told.tell("created", "user_a", 1)
        await told.tell("created", "user_a", 1)
        async with running(node, project, "platformatic", kafka) as (process, output):
            assert await until(output, "user_a 1") == ["created user_a 1"]
            await told.tell("updated", "user_a", 2, headers={"ce_type": "com.example.invoice.paid"})
            await told.tell("updated", "user_a", 2)
            await told.tell("created", "user_a", 1)
            await told.tell("deleted", "user_a", 3)
            await told.tell("created", "user_b", 1)
            lines = await until(output, "user_b 1")
            assert lines == ["updated user_a 2", "deleted user_a 3", "created user_b 1"]
            process.kill()
        await told.tell("updated", "user_b", 2)
        async with running(node, project, "platformatic", kafka) as (process, output):
            after = await until(output, "user_b 2")
            # What was handled, but not committed when it was killed, comes once more.
            assert after[-1] == "updated user_b 2"
            assert set(after[:-1]) <= {"created user_b 1"}
            process.terminate()
            assert await process.wait() == 0


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
async def test_the_consumer_with_platformatic_outlasts_an_outage(node: str, project: Project, kafka: servers.Server):
    async with users(kafka) as told:
        await told.tell("created", "user_a", 1)
        async with running(node, project, "platformatic", kafka) as (_, output):
            await until(output, "user_a 1")
            await asyncio.to_thread(kafka.kill)
            await asyncio.sleep(OUTAGE_S)
            await asyncio.to_thread(kafka.start)
            await told.tell("updated", "user_a", 2)
            assert await until(output, "user_a 2") == ["updated user_a 2"]


# Each client with each signal, and with each Node: a Node hands both signals to a program in the same way.
@pytest.mark.parametrize(
    ("told_by", "node"),
    [(signal.SIGTERM, NODES["node20"]), (signal.SIGINT, NODES["node22"])],
    ids=["SIGTERM-node20", "SIGINT-node22"],
)
@pytest.mark.parametrize("name", ["kafkajs", "platformatic"])
async def test_a_consumer_that_is_told_to_stop_commits_what_it_handled_and_leaves_its_group(
    name: str, node: str, told_by: signal.Signals, consumers: Project, kafka: servers.Server
):
    async with users(kafka) as tell:
        for version in range(1, EVENTS):
            await tell.tell("created" if version == 1 else "updated", "user_a", version)
        async with running(node, consumers, f"{name}-told", kafka) as (process, output):
            lines = await until(output, "user_a 1")
            process.send_signal(told_by)
            rest = (await asyncio.wait_for(output.read(), LINE_S)).decode().splitlines()
            status = await process.wait()
        handled = [line for line in lines + rest if " user_a " in line]
        assert (status, await left_by_its_member(kafka, GROUP)) == (0, ("Empty", ((TOPIC, len(handled)),))), rest
        await tell.tell("updated", "user_a", EVENTS)
        async with running(node, consumers, f"{name}-told", kafka) as (_, output):
            after = [line for line in await until(output, f"user_a {EVENTS}") if " user_a " in line]
        assert handled + after == [f"{'created' if n == 1 else 'updated'} user_a {n}" for n in range(1, EVENTS + 1)]


async def test_the_example_that_keeps_users_in_memory_leaves_its_group_when_it_is_told_to_stop(
    project: Project, kafka: servers.Server
):
    await create_topic(kafka.address, STATE_TOPIC, cleanup_policy="compact")
    async with users(kafka) as tell:
        await tell.tell("created", "user_a", 1)
        async with running("node", project, "follow-users", kafka) as (process, output):
            await until(output, "ready: 1 users")
            process.terminate()
            assert (await asyncio.wait_for(output.read(), LINE_S), await process.wait()) == (b"", 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        states = {group: (await standing(kafka, group))[0] for group, *_ in await admin.list_consumer_groups()}
        await admin.delete_topics([STATE_TOPIC])
    finally:
        await admin.close()
    assert set(states.values()) <= {"Empty", "Dead"}, states
