"""Keys that cannot be fetched are told once, with address and reason, and so is the end of it."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from anomalyze_auth import JwksKeys
from sdktest.jwks_server import JwksServer, body
from sdktest.tokens import PARTY, claims, jwk, signed

README = (Path(__file__).parents[1] / "README.md").read_text()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "anomalyze_auth.jwks"]


@pytest.fixture
async def keys(jwks_server: JwksServer) -> AsyncIterator[JwksKeys]:
    jwks_server.answer_keys(jwk())
    keys = JwksKeys(jwks_server.url, timeout=30.0)
    yield keys
    await keys.aclose()


async def test_an_outage_is_told_once_with_address_and_reason_and_its_end(keys, jwks_server, caplog):
    jwks_server.answer = body(b"secret page", status=503)
    for _ in range(5):
        await keys.refresh()
    jwks_server.answer = body(b"still nothing")
    await keys.refresh()

    assert lines(caplog) == [f"the signing keys at {jwks_server.url} are out of reach: unusable answer: status 503"]
    caplog.clear()
    jwks_server.answer_keys(jwk())
    for _ in range(3):
        await keys.refresh()

    assert lines(caplog) == [f"the signing keys at {jwks_server.url} are within reach again"]
    caplog.clear()
    jwks_server.answer = body(b'{"keys": []}')
    await keys.refresh()

    assert len(lines(caplog)) == 1


async def test_what_goes_well_is_not_told(keys, caplog):
    await keys.refresh()

    assert lines(caplog) == []


async def test_the_address_is_told_without_what_may_be_secret_in_it(caplog):
    keys = JwksKeys("http://127.0.0.1:1/jwks?key=hush", headers={"Authorization": "Bearer hush"})
    await keys.refresh()
    await keys.aclose()

    [line] = lines(caplog)
    assert "http://127.0.0.1:1/jwks " in line
    assert "hush" not in line


def test_an_address_that_is_none_is_an_error_at_the_start():
    with pytest.raises(ValueError, match=r"^not an http\(s\) URL$"):
        JwksKeys("http://[::1/jwks")
    with pytest.raises(ValueError, match="without a user"):
        JwksKeys("https://me:hush@clerk.example.com/jwks")


def test_the_readme_example_says_why_it_answers_503_without_any_configuration_of_logging(tmp_path: Path):
    [example] = re.findall(r"<!-- example: fastapi -->\n```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "main.py").write_text(example)
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as nobody:
        port, closed = free.getsockname()[1], nobody.getsockname()[1]
    issuer = f"http://127.0.0.1:{closed}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CLERK_ISSUER": issuer}
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port)],
        cwd=tmp_path,
        env={**environment, "CLERK_AUTHORIZED_PARTIES": PARTY},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        bearer = {"Authorization": f"Bearer {signed(claims(time.time(), iss=issuer))}"}
        deadline = time.monotonic() + 60
        while True:
            try:
                answers = [httpx.get(f"http://127.0.0.1:{port}/hello", headers=bearer, timeout=30) for _ in range(3)]
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        process.terminate()
        _, told = process.communicate(timeout=30)

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "keys-unavailable")}
    assert told.count(f"the signing keys at {issuer}/.well-known/jwks.json are out of reach: ConnectError") == 1
