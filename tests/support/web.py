"""The whole HTTP application on fakes for the world behind it: real signatures, real tokens, real ASGI."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jwt
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from dependency_injector.providers import Callable, Object

from adapters.kafka.cloudevents import encode
from application.errors import StoreUnavailableError
from application.relay.dead_letters import OutboxStatus
from devkit.fake_clerk.samples import sample_deleted_user, sample_event, sample_user
from devkit.fake_clerk.signing import sign_webhook
from entrypoints.composition import container_of
from entrypoints.composition.serve import ServeContainer
from entrypoints.config.loading import load
from entrypoints.config.settings import ServeSettings
from entrypoints.http.app import app_for
from entrypoints.http.middleware.graceful_shutdown import GracefulShutdown
from support.memory import MemoryDirectory, MemoryIdentities, MemoryUsers
from support.users import USER

SECRET = "whsec_" + "c2VjcmV0" * 4
PUBLISHABLE_KEY = "pk_test_Y2xlcmsuZXhhbXBsZS5jb20k"
ISSUER = "https://clerk.example.com"
PARTY = "https://app.example.com"
NO_FILE = Path("/dev/null")
"""Instead of the `.env` of whoever runs the tests."""


@cache
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_key() -> str:
    return signing_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def environment(**changes: str) -> dict[str, str]:
    return {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "CLERK_WEBHOOK_SECRET": SECRET,
        "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "CLERK_JWT_KEY": public_key(),
        "CLERK_AUTHORIZED_PARTIES": PARTY,
        **changes,
    }


def token(
    user_id: object = USER, *, key_id: str | None = None, key: rsa.RSAPrivateKey | None = None, **claims: Any
) -> str:
    now = int(time.time())
    standard = {"sub": user_id, "iss": ISSUER, "azp": PARTY, "sid": "sess_1", "iat": now, "nbf": now, "exp": now + 60}
    present = {name: value for name, value in {**standard, **claims}.items() if value is not None}
    # Not PyJWT's own claims check: broken tokens are what tests want.
    headers = {"kid": key_id} if key_id else None
    return jwt.api_jws.encode(json.dumps(present).encode(), key or signing_key(), algorithm="RS256", headers=headers)


def bearer(user_id: object = USER, **claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {token(user_id, **claims)}"}


def created(user_id: str = USER, *, at: int = 1_700_000_000_000, **changes: Any) -> bytes:
    return event("user.created", sample_user(user_id, now_ms=at, **changes), at=at)


def deleted(user_id: str = USER, *, at: int = 1_700_000_009_000) -> bytes:
    return event("user.deleted", sample_deleted_user(user_id), at=at)


def event(kind: str, data: Any, *, at: int = 1_700_000_000_000) -> bytes:
    return json.dumps(sample_event(kind, data, timestamp_ms=at)).encode()


def signed(body: bytes, **changes: str) -> dict[str, str]:
    return {**sign_webhook(SECRET, "msg_1", int(time.time()), body), **changes}


@define
class Database:
    """What /health meets."""

    up: bool = True
    write_fails: StoreUnavailableError | None = None
    backlog: OutboxStatus = OutboxStatus(  # noqa: RUF009  # frozen
        read_at=0.0, stored=0, lanes=[], dead=0, relays={"relay": 0.0}, vacuum_blocker=None
    )

    async def __call__(self) -> None:
        if not self.up:
            raise StoreUnavailableError("down")

    async def try_writing(self) -> None:
        if self.write_fails:
            raise self.write_fails

    async def status(self) -> OutboxStatus:
        return self.backlog


@define
class Web:
    """The running application, and what stands behind it."""

    client: httpx.AsyncClient
    container: ServeContainer
    users: MemoryUsers
    identities: MemoryIdentities
    database: Database = field(factory=Database)

    async def deliver(self, body: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.client.post(
            "/webhooks/clerk", content=body, headers=signed(body) if headers is None else headers
        )

    async def me(self, **headers: str) -> httpx.Response:
        return await self.client.get(
            "/v1/me", headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


@asynccontextmanager
async def web(**variables: str) -> AsyncIterator[Web]:
    container = container_of(
        ServeContainer, load(ServeSettings, environment=environment(**variables), env_file=NO_FILE)
    )
    users, identities, database = MemoryUsers(encode), MemoryIdentities(), Database()
    container.postgres_user_store.override(Object(users))
    container.session_store.override(Object(users.sessions))
    container.user_reader.override(Object(users))
    container.user_directory.override(Object(MemoryDirectory(users)))
    container.identities.override(Object(identities))
    container.interactive_identities.override(Object(identities))
    container.check_database.override(Callable(database))
    container.try_writing.override(Callable(database.try_writing))
    container.outbox_admin.override(Object(database))
    app = app_for(container, GracefulShutdown(0))
    async with lifespan(app), client(app) as http:
        yield Web(http, container, users, identities, database)


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test")


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Start and stop the application as a server does, in this event loop."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    running = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put))
    for step in ("startup", "shutdown"):
        await inbox.put({"type": f"lifespan.{step}"})
        assert await outbox.get() == {"type": f"lifespan.{step}.complete"}
        if step == "startup":
            yield
    await running
    # A server's loop ends with it; this one goes on, and would print what befalls other tests into their output.
    loop.set_exception_handler(handler)
