"""Reads at replicas of a PostgreSQL, and what is noticed about them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from attrs import define, field

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import Target, read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from adapters.postgres.replica import PostgresReplicas
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from application.failure import Cause, Failure
from application.users.replica import ReplicaReads, WhyPrimary
from domain.sync_user import sync_user
from domain.user import User, UserId
from support.memory import living
from support.standby import Node
from support.users import USER, snapshot

PATIENT_S = 5.0
"""So that a busy machine does not pass for a replica that does not answer."""


@define
class Reads:
    """Replicas, the store whose changes they follow, and what was told."""

    replicas: PostgresReplicas
    store: PostgresUserStore
    primary: PostgresUserReader
    told: list[tuple[str, Failure | None]]
    reasons: list[WhyPrimary | None] = field(factory=list)

    async def write(self, user_id: UserId = USER, **changes: Any) -> User:
        at = time.time_ns() // 1_000_000
        decision = await self.store.change(user_id, partial(sync_user, snapshot=snapshot(user_id, at=at, **changes)))
        return living(decision.user)

    async def read(self, at_least: int = 0) -> User | None:
        """Return None when the primary has to be asked."""
        user = await ReplicaReads(self.replicas, self.reasons.append).get(USER, at_least)
        return living(user) if user else None

    async def in_use_from_now(self) -> None:
        """Wait for the start: a standby may be asked before it has the tables, and that is told as well."""
        await self.until(in_use)
        self.told.clear()

    async def until(self, holds: Callable[[Failure | None], object], *, within: float = 60) -> None:
        """Wait until the only address is in a state."""
        async with asyncio.timeout(within):
            while not all(holds(failure) for failure in self.replicas.failures.values()):
                await asyncio.sleep(0.02)


def in_use(failure: Failure | None) -> bool:
    return failure is None


def because(cause: Cause) -> Callable[[Failure | None], bool]:
    return lambda failure: failure is not None and failure.cause is cause


@asynccontextmanager
async def reading(
    primary: Node, *nodes: Node, limit_s: float = PATIENT_S, replica: Target | None = None
) -> AsyncIterator[Reads]:
    """Read at these nodes, or at another target, and write at the primary."""
    engine = create_engine(read_target(primary.url), pool_size=4, application_name="tests")
    await migrate(engine)
    store = PostgresUserStore(engine, encode, lambda _: None)
    await store.start()
    told: list[tuple[str, Failure | None]] = []
    hosts = ",".join("127.0.0.1" for _ in nodes)
    ports = ",".join(str(node.server.port) for node in nodes)
    target = replica or read_target(f"{nodes[0].url}?host={hosts}&port={ports}")
    replicas = PostgresReplicas(target, engine, lambda name, failure: told.append((name, failure)), limit_s=limit_s)
    await replicas.start()
    try:
        yield Reads(replicas, store, PostgresUserReader(engine), told)
    finally:
        await replicas.aclose()
        await store.aclose()
        await engine.dispose()
