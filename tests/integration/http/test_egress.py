"""`auth-service serve` behind an HTTP proxy, as a process: its keys come through it, and its refusal is told."""

import json
import time

import httpx
import jwt
import pytest

from support.egress import PASSWORD, egress
from support.http_server import Answer, http_server
from support.web import PUBLISHABLE_KEY, signing_key, token


@pytest.fixture
def out(tmp_path):
    entry = jwt.algorithms.RSAAlgorithm.to_jwk(signing_key().public_key(), as_dict=True)
    answer = Answer(document={"keys": [{**entry, "kid": "ins_1"}]})
    with http_server(lambda _: answer) as keys, egress(tmp_path, int(keys.url.rpartition(":")[2])) as running:
        yield running


def verify(url):
    headers = {"authorization": f"Bearer {token(key_id='ins_1')}"}
    return httpx.get(f"{url}/v1/verify", headers=headers, timeout=20, trust_env=False)


def test_keys_come_through_the_proxy_and_a_refusal_is_told_by_its_cause(serve, database_url, out):
    variables = {"CLERK_JWT_KEY": "", "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY, "https_proxy": out.url}
    out.refuses = 403
    served = serve("--workers=1", DATABASE_URL=database_url, SSL_CERT_FILE=str(out.certificates), **variables)
    refused = verify(served.url)
    health = httpx.get(f"{served.url}/health", trust_env=False).json()
    metrics = httpx.get(f"{served.url}/metrics", trust_env=False).text
    out.refuses = None
    deadline = time.monotonic() + 60
    while (status := verify(served.url).status_code) != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    served.stop()

    assert (refused.status_code, refused.json()["code"]) == (503, "keys-unavailable")
    assert health["causes"]["session_keys"].startswith("signing keys: proxy refused (ProxyError: 403")
    assert 'cause="signing keys: proxy refused"' in metrics
    assert status == 200
    assert set(out.asked) == {"clerk.example.com:443"}
    causes = [json.loads(line).get("cause") for line in served.log if line.startswith("{")]
    assert any(cause and "ProxyError: 403" in cause for cause in causes)
    assert not any(PASSWORD in line or "p%40ss" in line for line in served.log)
