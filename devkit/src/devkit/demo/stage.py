"""The environment of the demo: real servers and processes, and access to their state."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
from attrs import field, frozen

from application.relay.ports import Record, TopicTail
from application.relay.topics import EVENTS
from devkit.fake_clerk import ClerkStandIn
from devkit.fake_clerk.session_tokens import mint_session_token
from devkit.local.keys import LocalKeys, new_keys
from devkit.local.process import ServiceProcess, raise_if_ended, stop_all, until_ready
from devkit.servers.data_dir import locked
from devkit.servers.ports import free_port
from devkit.servers.stack import embedded_stack
from entrypoints.composition import container_of
from entrypoints.composition.database import DatabaseContainer
from entrypoints.composition.topics import TopicsContainer
from entrypoints.config.loading import load
from entrypoints.config.settings import RelaySettings

if TYPE_CHECKING:
    from devkit.fake_clerk import ClerkStandIn, SignedWebhook

ISSUER = "https://clerk.demo.example"
PATIENCE_S = 15.0
"""How long the demo waits for one thing to happen before it says what did not."""


@frozen
class StageAnswer:
    """What HTTP said; `body` is the JSON document, or `None`."""

    status: int
    headers: Mapping[str, str]
    body: Any


@frozen(kw_only=True)
class Stage:
    """The running service, from Clerk's side, from the browser's, and from behind."""

    clerk: "ClerkStandIn"
    keys: LocalKeys
    http: httpx.AsyncClient
    database: "asyncpg.Connection[asyncpg.Record]" = field(repr=False)
    tail: TopicTail
    session_tail: TopicTail
    serve: ServiceProcess
    relay: ServiceProcess

    async def deliver(self, webhook: "SignedWebhook") -> StageAnswer:
        return _answer(await self.http.post("/webhooks/clerk", headers=webhook.headers, content=webhook.body))

    async def me(self, token: str, **headers: str) -> StageAnswer:
        return _answer(await self.http.get("/v1/me", headers={"authorization": f"Bearer {token}", **headers}))

    def token(self, user_id: str, *, now_s: int, session_id: str | None = None) -> str:
        return mint_session_token(
            self.keys.private_key, user_id=user_id, issuer=ISSUER, now_s=now_s, lifetime_s=60, session_id=session_id
        )

    async def row(self, user_id: str) -> dict[str, Any] | None:
        """Read the user's row, by a statement of our own: what a colleague would see in psql."""
        found = await self.database.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
        return dict(found) if found else None

    async def next_event(self) -> Record:
        """Return the next event of a user.

        Raises:
            ProcessFailedError: none came in time.
        """
        return await self._next(self.tail)

    async def next_session_event(self) -> Record:
        """Return the next event of a session; raises as `next_event`."""
        return await self._next(self.session_tail)

    async def _next(self, tail: TopicTail) -> Record:
        try:
            return await asyncio.wait_for(tail.next(), PATIENCE_S)
        except TimeoutError:
            raise_if_ended([self.relay, self.serve])
            raise self.relay.fail(f"published no event within {PATIENCE_S:g} s") from None

    async def events_ever(self) -> int:
        """Return how many events there ever were, in the topic and on their way to it, once all have arrived.

        Raises:
            ProcessFailedError: some did not arrive in time.
        """
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while await self.database.fetchval("SELECT count(*) FROM outbox"):
            if asyncio.get_running_loop().time() > deadline:
                raise self.relay.fail(f"did not empty the outbox within {PATIENCE_S:g} s")
            await asyncio.sleep(0.02)
        return await self.tail.length()


@asynccontextmanager
async def open_stage(progress: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Start everything on free ports and in a temporary folder; all of it is gone afterwards.

    Raises:
        EmbeddedStackError, ProcessFailedError: something did not start.
    """
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="auth-service-demo-")))
        lock = exits.enter_context(locked(folder, "The demo"))
        keys = new_keys()
        stack = await exits.enter_async_context(embedded_stack(folder, fresh=True, progress=progress))
        port = free_port()
        environment = {
            **_inherited(),
            **keys.environment,
            "CLERK_ISSUER": ISSUER,
            "DATABASE_URL": stack.postgres.dsn,
            "KAFKA_BOOTSTRAP_SERVERS": stack.kafka.bootstrap_servers,
            "PORT": str(port),
        }
        nowhere = folder / "no.env"
        settings = load(RelaySettings, environment=environment, env_file=nowhere)
        kafka = container_of(TopicsContainer, settings)
        await kafka.create_topics()
        _, revision, _ = await container_of(DatabaseContainer, settings).migrate("head")
        progress(
            f"Schema is at {revision}; topic {settings.kafka.kafka_user_events_topic}, {EVENTS.partitions} partitions"
        )

        serve = ServiceProcess(["serve", "--workers=1"], environment=environment, cwd=folder, lock=lock)
        exits.push_async_callback(stop_all, [serve])
        relay = ServiceProcess(["relay"], environment=environment, cwd=folder, lock=lock)
        exits.push_async_callback(stop_all, [relay])
        address = f"http://127.0.0.1:{port}"
        await until_ready(f"{address}/health", [serve, relay])
        progress(f"auth-service serve answers at {address}, auth-service relay runs")

        database = await asyncpg.connect(stack.postgres.dsn, timeout=PATIENCE_S, command_timeout=PATIENCE_S)
        exits.push_async_callback(database.close)
        tail = await exits.enter_async_context(kafka.tail_topic(from_beginning=True))
        session_tail = await exits.enter_async_context(kafka.tail_session_topic(from_beginning=True))
        http = await exits.enter_async_context(httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False))
        yield Stage(
            clerk=ClerkStandIn(keys.webhook_secret),
            keys=keys,
            http=http,
            database=database,
            tail=tail,
            session_tail=session_tail,
            serve=serve,
            relay=relay,
        )


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH") if name in os.environ}


def _answer(response: httpx.Response) -> StageAnswer:
    return StageAnswer(
        response.status_code, response.headers, json.loads(response.content) if response.content else None
    )
