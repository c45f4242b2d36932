"""docs/rotation.md, played: every secret becomes another one while requests come, and no genuine one is refused."""

import asyncio
import base64
import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import asyncpg
import httpx
import jwt
import pytest
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devkit.fake_clerk.instance import ClerkInstance
from devkit.fake_clerk.signing import sign_webhook
from entrypoints.config.service_keys import new_service_key
from support.http_server import Answer, Request, http_server
from support.trickle import Ask, Trickles
from support.web import ISSUER, PARTY, created, token

pytestmark = pytest.mark.faults

OLD_SECRET, NEW_SECRET = ("whsec_" + base64.b64encode(os.urandom(24)).decode() for _ in range(2))
(OLD_KEY, OLD_HASH), (NEW_KEY, NEW_HASH) = new_service_key("billing-1"), new_service_key("billing-2")
SECRETS = (OLD_SECRET, NEW_SECRET, OLD_KEY, NEW_KEY, "sk_test_old", "sk_test_new")


@cache
def session_key(key_id: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key_id: str) -> str:
    public = session_key(key_id).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip().replace("\n", "\\n")


def jwk(key_id: str) -> dict[str, Any]:
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(session_key(key_id).public_key(), as_dict=True), "kid": key_id}


def signed_in(user_id: str, key_id: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token(user_id, key_id=key_id, key=session_key(key_id))}"}


async def deliver(client: httpx.AsyncClient, secret: str, svix_id: str, body: bytes) -> httpx.Response:
    headers = sign_webhook(secret, svix_id, int(time.time()), body)
    return await client.post("/webhooks/clerk", content=body, headers=headers)


@define
class OtherSides:
    """What Clerk and another service use at the moment; the test moves them on as docs/rotation.md does."""

    instance: ClerkInstance
    endpoints: list[str] = field(factory=lambda: [OLD_SECRET])
    """Signing secrets of the webhook endpoints with our URL."""
    service_key: str = OLD_KEY
    published: list[str] = field(factory=lambda: ["ins_1"])
    signs: str = "ins_1"
    active: set[str] = field(factory=lambda: {"sk_test_old"})
    """Secret keys that Clerk takes; several may be."""
    used: list[str] = field(factory=list)
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1), init=False)

    def answer(self, request: Request) -> Answer:
        if request.path.endswith("/jwks.json"):
            return Answer(document={"keys": [jwk(key_id) for key_id in self.published]})
        headers = {name.lower(): value for name, value in request.headers}
        key = headers["authorization"].removeprefix("Bearer ")
        self.used.append(key)
        if key not in self.active:
            return Answer(401, {"errors": [{"message": "no", "long_message": "no", "code": "clerk_key_invalid"}]})
        return Answer(document=self.instance.get(request.path.rsplit("/", 1)[-1]))

    @property
    def requests(self) -> dict[str, Ask]:
        return {"webhook": self.webhook, "token": self.token, "sign-in": self.sign_in, "service": self.service}

    async def webhook(self, client: httpx.AsyncClient) -> httpx.Response:
        """One event, delivered by each endpoint there is, as Clerk does: the same svix-id, signed by each of them."""
        number = next(self._numbers)
        body = created(f"user_hook{number}")
        answers = [await deliver(client, secret, f"msg_{number}", body) for secret in self.endpoints]
        return next((answer for answer in answers if not answer.is_success), answers[-1])

    async def token(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/v1/verify", headers=signed_in("user_ada", self.signs))

    async def sign_in(self, client: httpx.AsyncClient) -> httpx.Response:
        """Of somebody whom only Clerk knows so far."""
        user = self.instance.create(f"user_new{next(self._numbers)}")
        return await client.get("/v1/me", headers=signed_in(user["id"], self.signs))

    async def service(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/v1/users/user_first", headers={"authorization": f"Bearer {self.service_key}"})


async def until_served(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get("/health/ready")).is_success:
                    return
            await asyncio.sleep(0.1)


async def versions(database_url: str) -> Counter[int]:
    """How many users whom webhooks told of have which version."""
    connection = await asyncpg.connect(database_url)
    try:
        return Counter(row[0] for row in await connection.fetch("SELECT version FROM users WHERE id LIKE 'user_hook%'"))
    finally:
        await connection.close()


async def test_every_secret_is_rotated_under_requests_and_no_genuine_one_is_refused(
    configured, database_url, clerk_stand_in, tmp_path
):
    sides = OtherSides(clerk_stand_in.instance)
    secret_key = tmp_path / "clerk-secret-key"
    secret_key.write_text("sk_test_old\n")
    with http_server(sides.answer) as server:
        serve = configured(
            CLERK_WEBHOOK_SECRET=OLD_SECRET,
            AUTH_SERVICE_KEYS=str(OLD_HASH),
            CLERK_JWT_KEY=pem("ins_1"),
            CLERK_ISSUER=ISSUER,
            CLERK_AUTHORIZED_PARTIES=PARTY,
            CLERK_SECRET_KEY_FILE=str(secret_key),
            CLERK_API_URL=server.url,
        )
        trickles = Trickles(serve.url, sides.requests)
        async with httpx.AsyncClient(base_url=serve.url) as client:
            await until_served(client)
            await deliver(client, OLD_SECRET, "msg_first", created("user_first"))
            too_early = await deliver(client, NEW_SECRET, "msg_early", created("user_early"))
            async with trickles.running():
                await trickles.answer(5)
                sides.active.add("sk_test_new")
                secret_key.write_text("sk_test_new\n")
                await serve.reconfigure(
                    CLERK_WEBHOOK_SECRET=f"{OLD_SECRET},{NEW_SECRET}",
                    AUTH_SERVICE_KEYS=f"{OLD_HASH},{NEW_HASH}",
                    CLERK_JWT_KEY="",
                    CLERK_JWKS_URL=f"{server.url}/.well-known/jwks.json",
                )
                sides.active.remove("sk_test_old")
                sides.used.clear()
                in_time = await deliver(client, NEW_SECRET, "msg_early", created("user_early"))
                sides.endpoints = [OLD_SECRET, NEW_SECRET]
                sides.published = ["ins_1", "ins_2"]
                await trickles.answer(5)
                sides.service_key = NEW_KEY
                sides.signs = "ins_2"  # no restart: the key set has it
                await trickles.answer(5)
                sides.published = ["ins_2"]
                sides.endpoints = [NEW_SECRET]
                await trickles.answer(5)
                await serve.reconfigure(
                    CLERK_WEBHOOK_SECRET=NEW_SECRET,
                    AUTH_SERVICE_KEYS=str(NEW_HASH),
                    CLERK_JWT_KEY=pem("ins_2"),
                    CLERK_JWKS_URL="",
                )
                await trickles.answer(5)
            forged = await deliver(client, OLD_SECRET, "msg_late", created("user_late"))
            retired = await client.get("/v1/users/user_first", headers={"authorization": f"Bearer {OLD_KEY}"})
            outdated = await client.get("/v1/verify", headers=signed_in("user_ada", "ins_1"))

    assert trickles.failures == []
    assert {status for _, status in trickles.answers} == {200}
    assert set(sides.used) == {"sk_test_new"}
    webhooks = trickles.answers["webhook", 200]
    assert await versions(database_url) == {1: webhooks}  # each that came twice had one effect
    assert (too_early.status_code, in_time.status_code) == (400, 200)
    assert (forged.status_code, retired.status_code, outdated.status_code) == (400, 401, 401)
    log = serve.process.text()
    assert "Traceback" not in log
    assert [secret for secret in SECRETS if secret.removeprefix("whsec_") in log] == []
    assert serve.process.stop() == 0


async def test_a_wrong_configuration_is_not_reloaded_and_the_workers_stay(configured):
    serve = configured(CLERK_WEBHOOK_SECRET=OLD_SECRET, CLERK_JWT_KEY=pem("ins_1"), CLERK_ISSUER=ISSUER)
    async with httpx.AsyncClient(base_url=serve.url) as client:
        await until_served(client)
        serve.change(CLERK_WEBHOOK_SECRET=f"{OLD_SECRET},nonsense")
        (said,) = await asyncio.to_thread(serve.process.wait_for, "reload_failed")
        taken = await deliver(client, OLD_SECRET, "msg_1", created("user_hook1"))

    assert "CLERK_WEBHOOK_SECRET" in str(said["problems"])
    assert "nonsense" not in serve.process.text()
    assert taken.status_code == 200
    assert serve.process.stop() == 0
