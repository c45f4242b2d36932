"""examples/services and the README's service with revocations as they stand, each in a process of its own."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from sdktest.messages import changed, deleted, revoked
from sdktest.revocation_topics import Topics, made_topics
from sdktest.tokens import PARTY, claims, jwk, pem, signed
from test_readme import EXAMPLES

FOLDER = Path(__file__).parents[2] / "examples" / "services"


@pytest.fixture
async def topics(kafka_address: str) -> AsyncIterator[Topics]:
    async with made_topics(kafka_address) as made:
        yield made


@pytest.fixture
def variables(jwks_server, topics) -> dict[str, str]:
    jwks_server.answer_keys(jwk())
    return {
        "CLERK_ISSUER": jwks_server.origin,
        "CLERK_AUTHORIZED_PARTIES": PARTY,
        "CLERK_JWT_KEY": pem(),
        "KAFKA_BOOTSTRAP_SERVERS": topics.address,
        "KAFKA_SESSION_EVENTS_TOPIC": topics.sessions,
        "KAFKA_USER_EVENTS_TOPIC": topics.users,
    }


@asynccontextmanager
async def running(folder: Path, module: str, variables: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    path = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, **variables, "PYTHONPATH": path}
    # Kept open: another test would take a port that is free for as long as the service starts.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, number = listening.getsockname()[1], listening.fileno()
        command = [sys.executable, "-m", "uvicorn", f"--fd={number}", "--log-level=warning", f"{module}:app"]
        process = await asyncio.create_subprocess_exec(*command, env=environment, pass_fds=[number])
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 120
            while True:
                try:
                    await client.get("/hello")
                    break
                except httpx.TransportError:
                    assert process.returncode is None
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
            yield client
    finally:
        process.terminate()
        async with asyncio.timeout(30):
            await process.wait()


def bearer(issuer: str, session_id: str, user_id: str = "user_1") -> dict[str, str]:
    return {"Authorization": f"Bearer {signed(claims(int(time.time()), iss=issuer, sid=session_id, sub=user_id))}"}


async def refused(client: httpx.AsyncClient, headers: dict[str, str]) -> tuple[int, str]:
    """The first answer that is not 200; every request until then was let in."""
    deadline = time.monotonic() + 60
    while (answer := await client.get("/hello", headers=headers)).status_code == 200:
        assert time.monotonic() < deadline
    return answer.status_code, answer.json()["code"]


async def test_a_service_lets_in_until_somebody_signs_out_is_banned_or_deleted(variables, topics, example):
    issuer = variables["CLERK_ISSUER"]
    await topics.tell(revoked("sess_before"))
    folder, module = example
    async with running(folder, module, variables) as client:
        early = await client.get("/hello", headers=bearer(issuer, "sess_before"))
        assert (early.status_code, early.json()["code"]) == (401, "session-revoked")
        assert (await client.get("/hello", headers=bearer(issuer, "sess_1"))).json() == {"user_id": "user_1"}

        await topics.tell(revoked("sess_1"))
        assert await refused(client, bearer(issuer, "sess_1")) == (401, "session-revoked")
        await topics.tell(changed(2, "user_2", banned=True))
        assert await refused(client, bearer(issuer, "sess_2", "user_2")) == (403, "user-banned")
        await topics.tell(deleted(3, "user_3"))
        assert await refused(client, bearer(issuer, "sess_3", "user_3")) == (401, "user-deleted")
        assert (await client.get("/hello", headers=bearer(issuer, "sess_4"))).status_code == 200


@pytest.fixture(params=["fastapi_service", "litestar_service", "README"])
def example(request: pytest.FixtureRequest, tmp_path, topics) -> tuple[Path, str]:
    if request.param != "README":
        return FOLDER, request.param
    # It follows the platform's own topics; everything else is pasted as it stands.
    names = f'session_topic="{topics.sessions}", user_topic="{topics.users}"'
    source = EXAMPLES["revocations"]
    pasted = source.replace("broker_options())", f"broker_options(), {names})")
    assert pasted != source
    (tmp_path / "readme_service.py").write_text(pasted)
    return tmp_path, "readme_service"


async def test_the_metrics_and_the_health_of_the_fastapi_service_tell_what_is_known(variables, topics):
    await topics.tell(revoked("sess_1"))
    async with running(FOLDER, "fastapi_service", variables) as client:
        await client.get("/hello", headers=bearer(variables["CLERK_ISSUER"], "sess_1"))
        metrics = (await client.get("/metrics")).text

        assert (await client.get("/health")).json() == {"revocations_current": True, "sessions": 1}
        assert 'revocations_refused_total{reason="session-revoked"} 1.0' in metrics
        assert "revocations_current 1.0" in metrics


@pytest.mark.parametrize("module", ["fastapi_service", "litestar_service"])
async def test_a_service_without_its_topics_starts_and_answers_503(variables, module):
    async with running(FOLDER, module, {**variables, "KAFKA_SESSION_EVENTS_TOPIC": "absent"}) as client:
        answer = await client.get("/hello", headers=bearer(variables["CLERK_ISSUER"], "sess_1"))

        assert (answer.status_code, answer.json()["code"]) == (503, "revocations-unavailable")
        assert answer.headers["retry-after"] == "5"
        assert (await client.get("/health")).json() == {"revocations_current": False, "sessions": 0}
