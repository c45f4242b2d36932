"""Run the scenes of `consumer.json` with a consumer, and compare its output with the expected effects."""

import asyncio
import contextlib
import os
import re
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from attrs import define, field, frozen

from devkit.conformance.consumer_vectors import record, table
from devkit.servers.errors import EmbeddedStackError
from devkit.servers.kafka import start_kafka

SCENES: Mapping[str, str] = {name: scene["why"] for name, scene in table()["scenes"].items()}
_READY = re.compile(r"ready(?:: (\d+) users)?\b.*")
_EFFECT = re.compile(r"(created|updated|deleted) (\S+) version (\d+)\b.*|(revoked) (\S+).*")
_TOPICS_S = 30.0
_QUIET_S = 0.5
_KILLED_WITHIN_S = 5.0
"""After the last line that was expected: time for one too many."""


class CannotRunError(Exception):
    """The consumer's command or Kafka cannot be started."""


class _WrongError(Exception):
    """The consumer made an error; the text says which."""


class _SilentError(_WrongError):
    """It said nothing of what it was to say."""


@frozen(kw_only=True)
class Findings:
    """The scenes that were played, and what was wrong in some of them."""

    played: tuple[str, ...]
    wrong: Mapping[str, str]


async def examine(
    command: Sequence[str], bootstrap_servers: str | None, *, skip: frozenset[str], wait_s: float
) -> Findings:
    """Play each scene on topics of its own, at a consumer that is started for it.

    Raises:
        CannotRunError: the command or Kafka cannot be started.
    """
    played = tuple(name for name in SCENES if name not in skip)
    wrong: dict[str, str] = {}
    async with _kafka(bootstrap_servers) as servers:
        for name in played:
            try:
                await _play(table()["scenes"][name], name, command, servers, wait_s)
            except _WrongError as error:
                wrong[name] = str(error)
            except KafkaError as error:
                raise CannotRunError(f"Kafka at {servers}: {type(error).__name__}") from error
    return Findings(played=played, wrong=wrong)


@asynccontextmanager
async def _kafka(bootstrap_servers: str | None) -> AsyncIterator[str]:
    if bootstrap_servers is not None:
        yield bootstrap_servers
        return
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        try:
            kafka = await asyncio.to_thread(start_kafka, Path(folder))
        except EmbeddedStackError as error:
            raise CannotRunError(str(error)) from error
        try:
            yield kafka.bootstrap_servers
        finally:
            await asyncio.to_thread(kafka.stop)


async def _play(scene: Mapping[str, Any], name: str, command: Sequence[str], servers: str, wait_s: float) -> None:
    stage = _Stage(run=secrets.token_hex(4), name=name.replace(" ", "-"), servers=servers, wait_s=wait_s)
    await stage.make_topics()
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for row in scene.get("before", ()):
            await stage.publish(producer, row)
        consumer = await _Consumer.start(command, stage)
        try:
            await consumer.ready(scene.get("users", 0), frozenset())
            for row in scene["steps"]:
                if row.get("crash"):
                    await consumer.kill()
                elif row.get("start"):
                    consumer = await _Consumer.start(command, stage)
                    await consumer.ready(row["users"], frozenset(stage.effect_named(text) for text in row["may"]))
                else:
                    await stage.publish(producer, row)
                    if row.get("effect"):
                        await consumer.tells(stage.effect(row))
            await consumer.tells_no_more()
        finally:
            await consumer.kill()


@frozen(kw_only=True)
class _Stage:
    run: str
    name: str
    servers: str
    wait_s: float

    def topic(self, kind: str) -> str:
        return f"conformance-{self.run}-{self.name}-{kind}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "KAFKA_USER_EVENTS_TOPIC": self.topic("users"),
            "KAFKA_USER_STATE_TOPIC": self.topic("state"),
            "KAFKA_SESSION_EVENTS_TOPIC": self.topic("sessions"),
        }

    async def make_topics(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            names = {self.topic(kind): cleanup for kind, cleanup in _TOPICS.items()}
            await admin.create_topics(
                [
                    NewTopic(name, _PARTITIONS, 1, topic_configs={"cleanup.policy": cleanup})
                    for name, cleanup in names.items()
                ]
            )
            async with asyncio.timeout(_TOPICS_S):
                while not names.keys() <= set(await admin.list_topics()):  # noqa: ASYNC110  # a broker is asked
                    await asyncio.sleep(0.02)
                # A broker tells of a partition before it leads it; this waits, and a consumer might end there.
                async with AIOKafkaConsumer(bootstrap_servers=self.servers) as consumer:
                    await consumer.end_offsets(
                        [TopicPartition(name, number) for name in names for number in range(_PARTITIONS)]
                    )
        except TimeoutError:
            raise CannotRunError(f"Kafka at {self.servers} does not make topics named conformance-….") from None
        finally:
            await admin.close()

    async def publish(self, producer: AIOKafkaProducer, row: Mapping[str, Any]) -> None:
        made = record(row, self._user(row), self._session(row))
        kind = {"state": "state", "gone": "state", "revoked": "sessions"}.get(row["event"], "users")
        await producer.send_and_wait(self.topic(kind), made.value, key=made.key, headers=list(made.headers))

    def effect(self, row: Mapping[str, Any]) -> str:
        if row["event"] == "revoked":
            return f"revoked {self._session(row)}"
        return f"{row['event']} {self._user(row)} version {row['version']}"

    def effect_named(self, text: str) -> str:
        event, user_name, version = text.split()
        return self.effect({"event": event, "user_name": user_name, "version": version})

    # A consumer may remember users of an earlier run or scene.
    def _user(self, row: Mapping[str, Any]) -> str:
        return f"user_{self.run}{row.get('user_name', 'a')}"

    def _session(self, row: Mapping[str, Any]) -> str:
        return f"sess_{self.run}{row.get('session', '')}"


_TOPICS = {"users": "delete", "state": "compact", "sessions": "delete"}
_PARTITIONS = 3
"""More than one: order holds within one user alone."""


@define
class _Consumer:
    _process: asyncio.subprocess.Process
    _output: asyncio.StreamReader
    _wait_s: float
    _optional: frozenset[str] = field(factory=frozenset)

    @classmethod
    async def start(cls, command: Sequence[str], stage: _Stage) -> "_Consumer":
        try:
            process = await asyncio.create_subprocess_exec(
                *command, env=stage.environment, stdout=asyncio.subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise CannotRunError(f"{command[0]}: {error.strerror}") from error
        if process.stdout is None:
            raise CannotRunError(f"{command[0]}: no output")
        return cls(process, process.stdout, stage.wait_s)

    async def kill(self) -> None:
        # With all its children, such as the program behind `npm start`.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        # asyncio waits for the end of the output too, which a child in another session may hold open.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILLED_WITHIN_S):
                await self._process.wait()

    async def ready(self, users: int, may: frozenset[str]) -> None:
        """Wait for the line that says that it has caught up; what took effect until then is not judged."""
        async for line in self._lines(self._wait_s, "its line `ready: N users`"):
            if (found := _READY.fullmatch(line)) is not None:
                if found[1] is not None and int(found[1]) != users:
                    raise _WrongError(f"it has {found[1]} users when it is ready, and there are {users}")
                self._optional = may
                return

    async def tells(self, effect: str) -> None:
        """Wait for this effect, which must be the next."""
        async for line in self._lines(self._wait_s, f"`{effect}`"):
            told = _effect(line)
            if told == effect:
                return
            if told is not None and told not in self._optional:
                raise _WrongError(f"it says `{told}` where `{effect}` is next")
            if told is not None:
                self._optional -= {told}

    async def tells_no_more(self) -> None:
        with contextlib.suppress(_SilentError):
            async for line in self._lines(_QUIET_S, "nothing"):
                told = _effect(line)
                if told is not None and told not in self._optional:
                    raise _WrongError(f"it says `{told}`, which is once too often")

    async def _lines(self, within_s: float, what: str) -> AsyncIterator[str]:
        """Yield its lines, whatever they say, for so long.

        Raises:
            _SilentError: the time is over; the text is what was to be said.
            _WrongError: it has ended.
        """
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    line = await self._output.readline()
            except TimeoutError:
                raise _SilentError(f"it does not say {what} within {within_s:g} s") from None
            except ValueError:  # longer than any line that is meant for us
                continue
            if not line:
                raise _WrongError(f"it {await self._end()} where {what} is next")
            yield line.decode(errors="replace").strip()

    async def _end(self) -> str:
        try:
            async with asyncio.timeout(_QUIET_S):
                return f"ended with status {await self._process.wait()}"
        except TimeoutError:
            return "closed its output"


def _effect(line: str) -> str | None:
    found = _EFFECT.fullmatch(line)
    if found is None:
        return None
    return f"revoked {found[5]}" if found[4] else f"{found[1]} {found[2]} version {found[3]}"
