"""A wrong secret, keys of two instances, and a clock that is off by ten minutes."""

import asyncio
import json

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from support.drill import until
from support.http_server import Answer, http_server
from support.web import bearer, public_key, signing_key

pytestmark = pytest.mark.faults

KEY = "sk_test_0123456789abcdef"
OTHER_SECRET = "whsec_" + "b3RoZXIh" * 4


def jwks(key: rsa.RSAPublicKey) -> dict[str, object]:
    return {"keys": [{**json.loads(RSAAlgorithm.to_jwk(key)), "kid": "ins_1", "use": "sig", "alg": "RS256"}]}


@pytest.fixture
def clerk():
    """A Clerk whose clock and keys a test may change."""

    class Clerk:
        off_s = 0.0
        key = signing_key().public_key()
        url = ""

        def answer(self, request) -> Answer:
            if request.path == "/v1/jwks" and dict(request.headers).get("authorization") != f"Bearer {KEY}":
                return Answer(401, {"errors": [{"code": "clerk_key_invalid"}]}, clock_off_s=self.off_s)
            if request.path.startswith("/v1/users"):
                return Answer(401, {"errors": [{"code": "clerk_key_invalid"}]}, clock_off_s=self.off_s)
            return Answer(200, jwks(self.key), clock_off_s=self.off_s)

        @property
        def variables(self) -> dict[str, str]:
            return {
                "CLERK_SECRET_KEY": KEY,
                "CLERK_API_URL": self.url,
                "CLERK_JWKS_URL": f"{self.url}/.well-known/jwks.json",
            }

    clerk = Clerk()
    with http_server(clerk.answer) as server:
        clerk.url = server.url
        yield clerk


async def test_all_keys_are_good_and_of_one_instance(start, database_url, kafka_address, topic, clerk):
    service = start(database_url, kafka_address, topic, **clerk.variables)
    await until(lambda: service.relay_health()[0] == 200)
    _, found = service.doctor()

    checked = ("clerk secret key", "signing keys", "clerk instance", "clock", "webhook secret", "serve")
    assert {check: found[check]["severity"] for check in checked} == dict.fromkeys(checked, "ok")
    assert (
        "CLERK_SECRET_KEY, the key set of tokens and CLERK_JWT_KEY are of one instance"
        in found["clerk instance"]["says"]
    )


async def test_a_wrong_webhook_secret_is_named_everywhere(start, database_url, kafka_address, topic):
    service = start(database_url, kafka_address, topic)
    refused = service.webhook(secret=OTHER_SECRET)
    status, causes = service.health()
    code, found = service.doctor()

    assert refused == 400
    assert status == 200
    assert causes["webhooks"].startswith("webhook: wrong signature (No matching signature found)")
    assert code == 0  # anybody can send a wrong signature: a failure once a user comes of whom no webhook told
    assert found["serve: webhooks"]["severity"] == "warning"
    assert "CLERK_WEBHOOK_SECRET" in found["serve: webhooks"]["advice"]
    assert "webhook: wrong signature (No matching signature found)" in [line.get("cause") for line in service.logs()]
    assert 'auth_failures_total{cause="webhook: wrong signature"}' in service.metrics()
    assert OTHER_SECRET not in service.serve.text()


async def test_a_wrong_secret_key_is_named_everywhere(start, database_url, kafka_address, topic, clerk):
    wrong = "sk_test_wrongwrongwrong"
    service = start(database_url, kafka_address, topic, **{**clerk.variables, "CLERK_SECRET_KEY": wrong})
    code, found = service.doctor()

    assert code == 1
    assert found["clerk secret key"]["severity"] == "failure"
    assert "refuses it (401): CLERK_SECRET_KEY is wrong" in found["clerk secret key"]["says"]
    assert wrong not in json.dumps(found)

    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{service.port}/v1/me", headers=bearer("user_nobodyknows"))
    _, causes = service.health()

    assert causes["clerk"].startswith("Clerk: credentials refused (it answered 401")
    assert any("check CLERK_SECRET_KEY" in (line.get("cause") or "") for line in service.logs())
    assert 'auth_failures_total{cause="Clerk: credentials refused"}' in service.metrics()
    assert wrong not in service.serve.text()


async def test_keys_of_two_instances_are_named_by_doctor(start, database_url, kafka_address, topic, clerk):
    clerk.key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    service = start(database_url, kafka_address, topic, **clerk.variables)
    code, found = service.doctor()
    other = clerk.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    _, same = service.doctor(CLERK_JWT_KEY=other)

    assert code == 1
    assert "CLERK_JWT_KEY" in found["clerk instance"]["says"]
    assert found["clerk instance"]["severity"] == "failure"
    assert same["clerk instance"]["severity"] == "ok"
    assert public_key() != other


@pytest.mark.parametrize(("off_s", "where"), [(600, "behind"), (-600, "ahead of")])
async def test_a_clock_off_by_ten_minutes_is_named_everywhere(
    start, database_url, kafka_address, topic, clerk, off_s, where
):
    clerk.off_s = off_s
    service = start(database_url, kafka_address, topic, **clerk.variables)
    refused = await asyncio.to_thread(service.webhook, off_s=off_s)
    _, causes = service.health()
    code, found = service.doctor()

    assert refused == 400
    assert causes["webhooks"].startswith("webhook: clock differs (Message timestamp too ")
    assert code == 1
    assert found["clock"]["severity"] == "failure"
    assert found["clock"]["says"].endswith(f"s {where} Clerk's")
    assert "NTP" in found["clock"]["advice"]
    assert "clock" in found["serve: webhooks"]["advice"]
    assert any("our clock" in (line.get("cause") or "") for line in service.logs())
    assert 'auth_failures_total{cause="webhook: clock differs"}' in service.metrics()
