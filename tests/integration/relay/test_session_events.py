"""A sign-out from Clerk's webhook to Kafka and to `/v1/me`: real HTTP, PostgreSQL, Kafka and processes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from devkit.fake_clerk.samples import sample_session, sample_user
from devkit.servers.ports import free_port
from integration.conftest import create_topic
from support import processes
from support.ledger import faults, read_records, read_topic_until
from support.load import until_ready
from support.web import bearer, created, event, signed

USER, SESSION = "user_ada", "sess_2abcDEF"
AT = 1_700_000_000_000
PERSONAL = {
    "latest_activity": {"object": "session_activity", "id": "sess_activity_1", "ip_address": "203.0.113.77"},
    "client_id": "client_secretive",
    "user": sample_user(USER, now_ms=AT, first_name="Augusta"),
}


def end(session_id: str = SESSION, kind: str = "session.ended") -> bytes:
    return event(kind, {**sample_session(session_id, USER, now_ms=AT), "status": "ended", **PERSONAL}, at=AT)


async def deliver(client: httpx.AsyncClient, body: bytes) -> str:
    answer = await client.post("/webhooks/clerk", content=body, headers=signed(body))
    answer.raise_for_status()
    return str(answer.json()["outcome"])


@pytest.fixture
async def client(tmp_path, database_url) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    with processes.serve(tmp_path, database_url, port):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            await until_ready(client)
            yield client


async def records(kafka_address: str, topic: str, count: int, *, within: float = 60) -> list[Any]:
    deadline = asyncio.get_running_loop().time() + within
    found = await read_records(kafka_address, topic)
    while len({(record.key, record.value) for record in found}) < count:  # a relay that was killed repeats some
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.2)
        found = await read_records(kafka_address, topic)
    return found


async def test_a_sign_out_is_an_event_on_its_topic_and_refused_and_holds_nothing_personal(
    client, start_relay, kafka_address, topic
):
    sessions, state = f"{topic}-sessions", f"{topic}-state"
    await create_topic(kafka_address, sessions)
    await create_topic(kafka_address, state, cleanup_policy="compact")
    start_relay(KAFKA_SESSION_EVENTS_TOPIC=sessions, state_topic=state)

    await deliver(client, created(USER))
    before = await client.get("/v1/me", headers=bearer(USER, sid=SESSION))
    outcomes = [await deliver(client, end(kind=kind)) for kind in ("session.removed", "session.ended")]
    after = await client.get("/v1/me", headers=bearer(USER, sid=SESSION))
    active = await client.get("/v1/verify?active=true", headers=bearer(USER, sid=SESSION))
    (record,) = await records(kafka_address, sessions, 1)
    users = await records(kafka_address, topic, 1)
    states = await records(kafka_address, state, 1)

    assert outcomes == ["revoked", "unchanged"]
    assert (before.status_code, after.status_code, active.status_code) == (200, 401, 401)
    assert after.json()["code"] == active.json()["code"] == "session-revoked"
    assert {each.key for each in (*users, *states)} == {USER.encode()}
    assert record.key == SESSION.encode()
    headers = {name: value.decode() for name, value in record.headers}
    assert headers["ce_type"] == "anomalyze.session.revoked.v1"
    assert headers["ce_subject"] == headers["ce_partitionkey"] == SESSION
    assert headers["ce_sequence"] == "0" * 19 + "1"
    assert headers["ce_time"] == "2023-11-14T22:13:20.000Z"
    assert json.loads(record.value) == {
        "session": {"id": SESSION, "user_id": USER, "revoked_at": "2023-11-14T22:13:20.000Z"}
    }


async def test_users_events_go_on_without_the_topic_of_sessions_whose_events_wait_for_it(
    client, start_relay, kafka_address, topic
):
    sessions = f"{topic}-late"
    relay = start_relay(KAFKA_SESSION_EVENTS_TOPIC=sessions)
    await deliver(client, created(USER))
    for number in range(30):
        await deliver(client, end(f"sess_{number}"))
    await asyncio.to_thread(relay.wait_for, "events_waiting")
    newest = {f"user_{number}": 1 for number in range(20)}
    for user in newest:
        await deliver(client, created(user))
    got = await read_topic_until(kafka_address, topic, newest)
    await create_topic(kafka_address, sessions)
    late = await records(kafka_address, sessions, 30)

    assert faults(got, newest | {USER: 1}) == []
    assert {record.key.decode() for record in late} == {f"sess_{number}" for number in range(30)}


async def test_a_relay_that_is_killed_loses_no_revocation(client, start_relay, kafka_address, topic):
    sessions = f"{topic}-kill"
    await create_topic(kafka_address, sessions)
    relay = start_relay("--name", "one", KAFKA_SESSION_EVENTS_TOPIC=sessions)
    names = [f"sess_{number}" for number in range(300)]

    async def sign_out(name: str) -> None:
        assert await deliver(client, end(name)) == "revoked"

    for begin in range(0, 300, 50):
        await asyncio.gather(*map(sign_out, names[begin : begin + 50]))
        if begin == 100:
            await asyncio.to_thread(relay.kill)
            relay = start_relay("--name", "one", KAFKA_SESSION_EVENTS_TOPIC=sessions)
    found = await records(kafka_address, sessions, 300)

    assert {record.key.decode() for record in found} == set(names)
    identities = {(record.key, dict(record.headers)["ce_id"]) for record in found}
    assert len(identities) == 300  # a repetition has the same id
