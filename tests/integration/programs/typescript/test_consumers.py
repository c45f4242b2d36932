"""The consumer of the package's README with kafkajs, as it stands there, on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from devkit.conformance.consumer_vectors import record
from integration.conftest import create_topic
from support import servers
from support.typescript_project import NODES, Project

pytestmark = pytest.mark.programs

TOPIC = "auth.user.events.v1"  # as the program has it
LINE_S = 90
SHOW_NAMES = """
let shown: string;
setInterval(() => {
  const now = JSON.stringify(Object.fromEntries(names));
  if (now !== shown) console.log((shown = now));
}, 50);
"""


@pytest.fixture
def kafka() -> Iterator[str]:
    """A broker of its own, because the program names its topic and its group."""
    with servers.kafka() as server:
        yield server.address


@asynccontextmanager
async def running(node: str, project: Project, program: str, kafka: str) -> AsyncIterator[asyncio.StreamReader]:
    process = await asyncio.create_subprocess_exec(
        *(node, f"{program}.js"),
        cwd=project.folder,
        env={"KAFKA_BOOTSTRAP_SERVERS": kafka, "KAFKAJS_NO_PARTITIONER_WARNING": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


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
async def users(kafka: str) -> AsyncIterator[Users]:
    await create_topic(kafka, TOPIC, partitions=1)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        yield Users(producer)


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
async def test_the_consumer_with_kafkajs_keeps_the_names_of_the_living(node: str, project: Project, kafka: str):
    text = (project.folder / "kafkajs.ts").read_text()
    (project.folder / "kafkajs-shown.ts").write_text(text + SHOW_NAMES)
    project.compile("kafkajs-shown.ts")

    async with users(kafka) as told:
        await told.tell("created", "user_a", 1, user={"first_name": "Ada"})
        async with running(node, project, "kafkajs-shown", kafka) as output:
            await until(output, '{"user_a":"Ada"}')
            await told.tell("updated", "user_a", 2, value="no JSON")
            await told.tell("updated", "user_a", 3, headers={"ce_type": "anomalyze.user.updated.v2"})
            await told.tell("updated", "user_a", 3, user={"first_name": "Augusta"})
            await told.tell("updated", "user_a", 2, user={"first_name": "Ada"})
            await told.tell("created", "user_b", 1, user={"first_name": None})
            lines = await until(output, '"user_b":null')
            await told.tell("deleted", "user_a", 4)
            lines += await until(output, '{"user_b":null}')
        assert "skipped a record that is no event: the data of anomalyze.user.updated.v1: not a JSON object" in lines
        assert [line for line in lines if line.startswith("{")] == [
            '{"user_a":"Augusta"}',
            '{"user_a":"Augusta","user_b":null}',
            '{"user_b":null}',
        ]
