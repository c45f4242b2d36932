"""Kafka away for half a minute, the relay killed, services started in the middle of it, clocks that are wrong.

Each service does what its `when_stale` says, and nothing else. How many requests with a revoked session it let in after
the sign-out's webhook was answered is printed, and in the report of the run.
"""

import asyncio
import time
from collections import Counter
from contextlib import ExitStack

import httpx
import pytest
from attrs import define, field, frozen

from devkit.fake_clerk.samples import sample_session
from devkit.servers.ports import free_port
from integration.conftest import create_topic
from support import processes, servers
from support.load import until_ready
from support.revoking_service import HOST, revoking_service
from support.web import ISSUER, bearer, created, event, public_key, signed

pytestmark = pytest.mark.faults

USER = "user_ada"
TOPICS = {"sessions": "sessions", "users": "users"}
LET_IN = "let in"
STALE_S = 15.0
"""The SDK's bound, which nobody changed."""
AWAY_S = 32.0
LATE_S = 10.0
"""After so long the late services are started, which wait for 10 s before they serve."""
ASK_S = 2.0
"""From the last question that a broker answered until it is gone, and the machine's own delays."""


@define
class Client:
    """A service of another team, and what it answered about the session that ended in the outage."""

    name: str
    when_stale: str
    http: httpx.AsyncClient
    let_in: list[float] = field(factory=list)
    """Seconds after the webhook was answered."""

    async def asked(self, session: str) -> str:
        answer = await self.http.get("/", headers=bearer(USER, sid=session))
        return LET_IN if answer.status_code == 200 else str(answer.json()["code"])

    async def state(self) -> dict[str, int]:
        return dict((await self.http.get("/state")).json())

    async def listens(self) -> bool:
        try:
            await self.state()
        except httpx.TransportError:
            return False
        return True


@frozen
class Outage:
    """Moments, by the monotonic clock: before Kafka was killed, after that, and when the webhook was answered."""

    began: float
    stopped: float
    ended: float

    async def judge_early(self, client: Client) -> None:
        """Ask a service that knew everything; what it must answer follows from the time before and after."""
        before = time.monotonic()
        good, gone = await client.asked("sess_good"), await client.asked("sess_gone")
        known = await client.asked("sess_before")
        after = time.monotonic()
        if gone == LET_IN:
            client.let_in.append(after - self.ended)
        assert known == "session-revoked"
        if after < self.began + STALE_S - ASK_S or client.when_stale == "allow":
            assert good == gone == LET_IN
        elif before > self.stopped + STALE_S + ASK_S:
            assert good == gone == "revocations-unavailable"
        else:
            assert {good, gone} <= {LET_IN, "revocations-unavailable"}

    async def judge_late(self, client: Client) -> None:
        """Ask a service that was started in the outage and has never known anything, of the time before neither."""
        expected = LET_IN if client.when_stale == "allow" else "revocations-unavailable"
        for session in ("sess_good", "sess_gone", "sess_before"):
            assert await client.asked(session) == expected
        if expected == LET_IN:
            client.let_in.append(time.monotonic() - self.ended)

    async def until_refused(self, client: Client) -> None:
        """Wait until the service is current again, and has heard of the end of the session."""
        while (gone := await client.asked("sess_gone")) != "session-revoked":
            if gone == LET_IN:  # the broker is there, and the relay has not published yet
                client.let_in.append(time.monotonic() - self.ended)
            await asyncio.sleep(0.02)
        while await client.asked("sess_good") != LET_IN:
            await asyncio.sleep(0.02)


async def judge_after(client: Client) -> None:
    again = Counter([await client.asked("sess_gone") for _ in range(100)])
    assert again == {"session-revoked": 100}
    assert await client.asked("sess_before") == "session-revoked"
    state = await client.state()
    strict = client.when_stale == "refuse"
    assert state["current"]
    assert (state["stale_refused"] > 0, state["stale_allowed"] > 0) == (strict, not strict)


async def end(service: httpx.AsyncClient, session: str) -> None:
    body = event("session.ended", {**sample_session(session, USER, now_ms=1_700_000_000_000), "status": "ended"})
    answer = await service.post("/webhooks/clerk", content=body, headers=signed(body))
    assert answer.json()["outcome"] == "revoked"


async def test_half_a_minute_without_kafka_is_what_the_policy_says_and_nothing_else(  # noqa: C901  # one story
    database_url, tmp_path, record_property
):
    with servers.kafka() as kafka, ExitStack() as running:
        for topic in TOPICS.values():
            await create_topic(kafka.address, topic, partitions=3)
        port = free_port()
        running.enter_context(processes.serve(tmp_path, database_url, port))
        service = reached(port)
        await until_ready(service)

        def relay() -> processes.Process:
            topics = {"KAFKA_SESSION_EVENTS_TOPIC": TOPICS["sessions"]}
            started = processes.relay(tmp_path, database_url, kafka.address, TOPICS["users"], **topics)
            return running.enter_context(started)

        def client(when: str, when_stale: str, clock_off: float) -> Client:
            port = free_port()
            how = {"when_stale": when_stale, "clock_off": clock_off, "pem": public_key(), "issuer": ISSUER}
            running.enter_context(revoking_service(tmp_path, port, **how, **TOPICS, kafka=kafka.address))
            return Client(f"started {when}, {when_stale}, clock {clock_off:+.0f} s", when_stale, reached(port))

        killed = relay()
        await service.post("/webhooks/clerk", content=(body := created(USER)), headers=signed(body))
        await end(service, "sess_before")
        early = [client("before", when_stale, off) for when_stale in ("refuse", "allow") for off in (-5.0, 5.0)]
        async with asyncio.timeout(60):
            for each in early:
                while not await each.listens() or await each.asked("sess_before") != "session-revoked":
                    await asyncio.sleep(0.05)
                assert await each.asked("sess_good") == LET_IN

        began = time.monotonic()
        await asyncio.to_thread(kafka.kill)
        stopped = time.monotonic()
        await asyncio.to_thread(killed.kill)
        await end(service, "sess_gone")
        outage = Outage(began, stopped, time.monotonic())
        late: list[Client] = []
        while time.monotonic() < stopped + AWAY_S or not await late[-1].listens():
            if not late and time.monotonic() > stopped + LATE_S:
                late = [client("meanwhile", "refuse", -5.0), client("meanwhile", "allow", 5.0)]
            # It asks its own database, and needs no Kafka.
            active = await service.get("/v1/verify?active=true", headers=bearer(USER, sid="sess_gone"))
            assert active.json()["code"] == "session-revoked"
            for each in early:
                await outage.judge_early(each)
            for each in late:
                if await each.listens():
                    await outage.judge_late(each)
            await asyncio.sleep(0.25)  # a dozen questions take some CPU, and half a minute is long

        await asyncio.to_thread(kafka.start)
        relay()
        async with asyncio.timeout(120):
            await asyncio.gather(*(outage.until_refused(each) for each in (*early, *late)))
        for each in (*early, *late):
            await judge_after(each)
            last = max(each.let_in, default=0)
            said = f"{len(each.let_in)} requests let in too long, the last {last:.1f} s after the webhook"
            print(f"{each.name}: {said}")
            record_property(each.name, said)
            await each.http.aclose()
        await service.aclose()


def reached(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=20)
