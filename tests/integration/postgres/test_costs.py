"""What webhooks, events and reads cost PostgreSQL, compared with what was committed last: docs/benchmarks.md."""

import asyncio
import json
import os
from functools import partial
from pathlib import Path

import pytest
from attrs import asdict

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.lane_leases import PostgresLaneLeases
from adapters.postgres.migrate import migrate
from adapters.postgres.outbox import INDEX_PLANS, PostgresOutbox
from adapters.postgres.user_reader import PostgresUserReader
from adapters.postgres.user_store import PostgresUserStore
from application.relay.lane_leases import LEASE_S, share_lanes
from application.relay.lanes import LANES
from application.relay.loop import LONGEST_PAUSE_S
from application.relay.relay_events import RelayEvents
from domain.session import SessionId
from domain.sync_user import sync_user
from domain.user import UserId
from support import servers
from support.costs import meter
from support.memory import MemoryPublisher
from support.users import snapshot

BASELINE = Path(__file__).parents[2] / "fixtures" / "costs.json"
WAL_TOLERANCE = 0.05
"""Pages of indexes split at other places on another version of PostgreSQL."""

BATCH = 100
USERS = [UserId(f"user_{number:03}") for number in range(BATCH)]


async def measured(database_url: str) -> dict[str, dict[str, float]]:
    """By what was done, the cost of one of it."""
    costs: dict[str, dict[str, float]] = {}
    async with meter(database_url) as postgres:
        engine = create_engine(read_target(postgres.url), pool_size=1, application_name="tests", settings=INDEX_PLANS)
        store = PostgresUserStore(engine, encode, lambda _: None)
        first = PostgresUserStore(engine, encode, lambda _: None, is_first=lambda *_: True)
        outbox, leases = PostgresOutbox(engine), PostgresLaneLeases(engine)
        relay = RelayEvents(outbox, MemoryPublisher())
        await store.start()
        await first.start()

        async def webhook(user: UserId, at: int, store: PostgresUserStore = store) -> None:
            await store.change(user, partial(sync_user, snapshot=snapshot(user, at=at, first_name=f"Ada {at}")))

        async def lease() -> None:
            await leases.write("relay", share_lanes(await leases.read("relay"), "relay"))

        async def round_to_the_end() -> None:
            """Carry what waits, and find nothing more: the second read deletes what the first round published."""
            while (await relay(range(LANES), 1000)).taken:
                pass

        async def cost(name: str, *work, of: int = 1, per_second: float = 1.0) -> None:
            async with postgres.counted() as counted:
                await asyncio.gather(*work)
            costs[name] = {kind: round(value / of * per_second, 3) for kind, value in asdict(counted).items()}

        # asyncpg prepares each statement when it first meets it.
        for at in (1, 4):
            await webhook(UserId("user_first"), at)
            await webhook(UserId("user_first"), at + 2, first)
            await asyncio.gather(*(webhook(UserId(f"user_first{number}"), at) for number in range(3)))
            await round_to_the_end()
            await lease()

        await cost("webhook, alone, of a new user", webhook(UserId("user_alone"), 1))
        await cost("webhook, alone, of a known user", webhook(UserId("user_alone"), 2))
        await cost("webhook, alone, with its notification", webhook(UserId("user_alone"), 3, first))
        await cost("webhook, alone, that is stale", webhook(UserId("user_alone"), 1))
        await round_to_the_end()
        await cost(f"webhook, one of {BATCH} at once, of new users", *(webhook(user, 1) for user in USERS), of=BATCH)
        await cost(f"relayed event, one of {BATCH}, and the read that finds no more", round_to_the_end(), of=BATCH)
        await cost(f"webhook, one of {BATCH} at once, of known users", *(webhook(user, 2) for user in USERS), of=BATCH)
        await round_to_the_end()
        await webhook(UserId("user_alone"), 4)
        await cost("relayed event, alone, and the read that finds no more", round_to_the_end())
        await cost("idle relay, polls, in a second", relay(range(LANES), 1000), per_second=1 / LONGEST_PAUSE_S)
        await cost("idle relay, leases, in a second", lease(), per_second=3 / LEASE_S)
        reader, session = PostgresUserReader(engine), SessionId("sess_1")  # of `/v1/me` and `/v1/verify?active=true`
        await reader.signed_in(UserId("user_alone"), session)
        await cost("read of who is signed in, alone", reader.signed_in(UserId("user_alone"), session))
        reads = (reader.signed_in(user, session) for user in USERS)
        await cost(f"read of who is signed in, one of {BATCH} at once", *reads, of=BATCH)
        await store.aclose()
        await first.aclose()
        await engine.dispose()
    return costs


async def test_nothing_costs_postgresql_more_or_less_than_it_did():
    # While another database of the server has a transaction open, a full page is not pruned, and an update costs more.
    with servers.postgres(full_page_writes="off", autovacuum_naptime="1d") as server:
        engine = create_engine(read_target(server.address), pool_size=1, application_name="tests")
        await migrate(engine)
        await engine.dispose()
        costs = await measured(server.address)
    if os.environ.get("RENEW_COSTS"):
        BASELINE.write_text(json.dumps(costs, indent=2) + "\n")
    baseline = json.loads(BASELINE.read_text())

    assert [*costs] == [*baseline]
    differences = [
        f"{name}: {kind} {expected[kind]} before, {value} now"
        for name, expected in baseline.items()
        for kind, value in costs[name].items()
        if value != pytest.approx(expected[kind], rel=WAL_TOLERANCE if kind == "wal_bytes" else 0)
    ]
    assert not differences, "`make baseline` writes them down, if they are meant:\n" + "\n".join(differences)


async def test_an_idle_relay_asks_less_than_two_statements_a_second():
    """The promise of docs/benchmarks.md, from the numbers that the other test keeps true."""
    baseline = json.loads(BASELINE.read_text())
    idle = [cost["statements"] for name, cost in baseline.items() if name.startswith("idle relay")]

    assert len(idle) == 2
    assert sum(idle) < 2
