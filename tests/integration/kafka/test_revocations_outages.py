"""The SDK's revocations while Kafka is killed or stands still: what the declared policy says, and nothing else."""

import asyncio
import itertools
import json
import time
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaProducer

from anomalyze_auth import Authenticated, RevocationsUnavailable, TokenRejected
from anomalyze_auth.revocations import Revocations
from integration.conftest import create_topic
from support import servers

AWAY_S = 13
"""Longer than the client waits for an answer (5 s), closes (2 s) and waits for the next one."""
STALE_S = 2
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def kafka():
    with servers.kafka() as running:
        yield running


@pytest.fixture
async def topics(kafka):
    names = tuple(f"{kind}-{next(_NUMBERS)}" for kind in ("sessions", "users"))
    for name in names:
        await create_topic(kafka.address, name, partitions=3)
    return names


@contextmanager
def killed(kafka):
    kafka.kill()
    try:
        yield
    finally:
        kafka.start()


@contextmanager
def frozen(kafka):
    kafka.freeze()
    try:
        yield
    finally:
        kafka.thaw()


def following(kafka, topics, when_stale):
    sessions, users = topics
    return Revocations(
        kafka.address, session_topic=sessions, user_topic=users, stale_after=STALE_S, when_stale=when_stale
    )


async def revoke(kafka, topics, session_id):
    headers = {
        "ce_specversion": "1.0",
        "ce_id": session_id,
        "ce_type": "anomalyze.session.revoked.v1",
        "ce_subject": session_id,
        "ce_sequence": f"{1:020}",
    }
    value = json.dumps({"session": {"id": session_id, "user_id": "user_1", "revoked_at": "2026-11-23T10:00:00.000Z"}})
    async with AIOKafkaProducer(bootstrap_servers=kafka.address, acks="all") as producer:
        await producer.send_and_wait(
            topics[0],
            value.encode(),
            key=session_id.encode(),
            headers=[(name, text.encode()) for name, text in headers.items()],
        )


def verdict(revocations, session_id):
    try:
        revocations.check(Authenticated(user_id="user_1", session_id=session_id, expires_at=time.time() + 60))
    except TokenRejected as rejected:
        return str(rejected.reason)
    except RevocationsUnavailable:
        return "unavailable"
    return "accepted"


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("outage", [killed, frozen])
async def test_an_outage_is_what_the_policy_says_and_everything_is_known_after_it(kafka, topics, outage):
    await revoke(kafka, topics, "sess_before")
    strict, lenient = following(kafka, topics, "refuse"), following(kafka, topics, "allow")
    late = following(kafka, topics, "refuse")
    async with strict, lenient:
        # A busy machine may ask the broker less often than once in so short a bound.
        await until(lambda: verdict(strict, "sess_1") == verdict(lenient, "sess_1") == "accepted")
        counted = lenient.state.stale_allowed, strict.state.stale_refused
        began, behind = time.monotonic(), strict.fresh()
        with outage(kafka):
            stopped = time.monotonic()
            await until(lambda: not strict.state.current and not lenient.state.current)
            state = await late.start(timeout=1)
            assert not state.current
            while time.monotonic() < stopped + AWAY_S:
                assert verdict(strict, "sess_1") == verdict(late, "sess_1") == "unavailable"
                assert verdict(lenient, "sess_1") == "accepted"
                assert verdict(strict, "sess_before") == verdict(lenient, "sess_before") == "session-revoked"
                assert strict.fresh() >= time.monotonic() - stopped - 0.1
                assert strict.fresh() <= time.monotonic() - began + behind
                await asyncio.sleep(0.05)
            assert lenient.state.stale_allowed > counted[0]
            assert strict.state.stale_refused > counted[1]
            assert strict.state.stale_allowed == lenient.state.stale_refused == 0
            assert strict.state.last_error is not None
        await revoke(kafka, topics, "sess_after")
        await until(lambda: all(each.state.current for each in (strict, lenient, late)))
        for each in (strict, lenient, late):
            assert verdict(each, "sess_after") == verdict(each, "sess_before") == "session-revoked"
            assert verdict(each, "sess_1") == "accepted"
            assert each.state.last_error is None
    await late.aclose()
