"""A platform in miniature, and what breaks in it: every fault is real, chosen by a seed, and healed in the end."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import asyncpg
from attrs import define, field

from adapters.kafka.publisher import DEADLINE_S
from application.relay.lane_leases import LEASE_S
from support import processes
from support.processes import Process
from support.proxy import Proxy
from support.servers import Server


class Broker(Protocol):
    def kill(self) -> None: ...
    def start(self) -> None: ...


@define(eq=False)
class Slot:
    """A place where one process runs, started again whenever it is killed."""

    start: Callable[[], Process]
    process: Process
    killed: list[Process] = field(factory=list)
    busy: asyncio.Lock = field(factory=asyncio.Lock)

    async def kill(self, away: float) -> None:
        async with self.busy:
            self.killed.append(self.process)
            await asyncio.to_thread(self.process.kill)
            await asyncio.sleep(away)
            self.process = self.start()

    async def freeze(self, seconds: float) -> None:
        async with self.busy:
            self.process.pause()
            await asyncio.sleep(seconds)
            self.process.resume()


@define(eq=False)
class World:
    """What runs, and the faults it can have."""

    database_url: str
    postgres: Server
    database_proxy: Proxy
    brokers: Sequence[Broker]
    broker_proxy: Proxy | None
    relays: Sequence[Slot]
    serves: Sequence[Slot]
    log: list[str] = field(factory=list)
    _began: float = field(factory=time.monotonic)

    def faults_of_processes(self, dice: random.Random) -> dict[str, Callable[[], Awaitable[object]]]:
        return {
            "kill -9 relay": lambda: dice.choice(self.relays).kill(dice.uniform(0.1, 1)),
            "kill -9 serve": lambda: dice.choice(self.serves).kill(dice.uniform(0.1, 1)),
            "freeze relay": lambda: dice.choice(self.relays).freeze(dice.choice([1, 3, LEASE_S + 2, DEADLINE_S + 2])),
            "freeze serve": lambda: dice.choice(self.serves).freeze(dice.uniform(0.5, 3)),
        }

    def faults_of_servers(self, dice: random.Random) -> dict[str, Callable[[], Awaitable[object]]]:
        faults: dict[str, Callable[[], Awaitable[object]]] = {
            "kill -9 postgresql": lambda: self._crash([self.postgres], dice.uniform(0.2, 2)),
            "terminate backends": self._terminate_backends,
            "kill -9 one broker": lambda: self._crash([dice.choice(self.brokers)], dice.uniform(0.5, 3)),
            "kill -9 all brokers": lambda: self._crash(self.brokers, dice.uniform(0.5, 2)),
        }
        proxies = {"postgresql": self.database_proxy} | ({"kafka": self.broker_proxy} if self.broker_proxy else {})
        for name, proxy in proxies.items():
            faults[f"delay {name}"] = lambda proxy=proxy: _delay(proxy, dice.uniform(0.02, 0.3))  # type: ignore[misc]
            faults[f"cut {name}"] = lambda proxy=proxy: asyncio.to_thread(proxy.cut)  # type: ignore[misc]
            faults[f"half-open {name}"] = lambda proxy=proxy: asyncio.to_thread(proxy.half_open)  # type: ignore[misc]
            faults[f"swallow {name}"] = lambda proxy=proxy: _swallow(proxy, dice.uniform(1, 7))  # type: ignore[misc]
        return faults

    async def inject(
        self, faults: dict[str, Callable[[], Awaitable[object]]], dice: random.Random, until: float
    ) -> None:
        """Inject one fault after the other, each kind once before any comes again, until this moment of the loop."""
        while True:
            names = list(faults)
            dice.shuffle(names)
            for name in names:
                await asyncio.sleep(dice.uniform(0.2, 1.2))
                if asyncio.get_running_loop().time() > until:
                    return
                self.log.append(f"{time.monotonic() - self._began:6.1f} s  {name}")
                await faults[name]()

    def died_by_themselves(self) -> list[str]:
        """Return the output of every process that ended and was not killed here."""
        return [slot.process.text() for slot in (*self.relays, *self.serves) if not slot.process.alive]

    def tracebacks(self) -> list[str]:
        """Return the output of every process, dead ones too, that met something nobody expected."""
        said = [p.text() for slot in (*self.relays, *self.serves) for p in (*slot.killed, slot.process)]
        return [text for text in said if "Traceback" in text]

    async def _crash(self, servers: Sequence[Broker], away: float) -> None:
        await asyncio.gather(*(asyncio.to_thread(server.kill) for server in servers))
        await asyncio.sleep(away)
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))

    async def _terminate_backends(self) -> None:
        connection = await asyncpg.connect(self.database_url)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'auth-service%' AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()


async def _delay(proxy: Proxy, seconds: float) -> None:
    proxy.delay = seconds
    await asyncio.sleep(2)
    proxy.delay = 0


async def _swallow(proxy: Proxy, seconds: float) -> None:
    await asyncio.to_thread(proxy.swallow)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(proxy.swallow, False)


@asynccontextmanager
async def slots(  # by name
    folder: Path,
    database_url: str,
    bootstrap_servers: str,
    topic: str,
    *,
    state_topic: str,
    relays: int,
    ports: Sequence[int],
    **variables: str,
) -> AsyncIterator[tuple[list[Slot], list[Slot]]]:
    """Run the relays, and one `serve` on each of the ports; `variables` are for all of them."""
    with ExitStack() as stack:

        def relay() -> Process:
            return stack.enter_context(
                processes.relay(folder, database_url, bootstrap_servers, topic, state_topic=state_topic, **variables)
            )

        def serve(port: int) -> Process:
            return stack.enter_context(processes.serve(folder, database_url, port, **variables))

        yield (
            [Slot(relay, relay()) for _ in range(relays)],
            [Slot(lambda port=port: serve(port), serve(port)) for port in ports],  # type: ignore[misc]
        )
