"""/health names each cause, and so do the log and the metrics."""

import re
import time

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs

from application.doctor.runbooks import RUNBOOKS
from application.errors import (
    ClerkKeyRefusedError,
    ClerkUnavailableError,
    StoreUnavailableError,
)
from application.failure import Cause
from application.relay.dead_letters import LaneBacklog, OutboxStatus, VacuumBlocker
from devkit.fake_clerk.signing import sign_webhook
from entrypoints.http.middleware.graceful_shutdown import GracefulShutdown
from entrypoints.http.recent_failures import REMEMBERED_S, RecentFailures, failure_of
from entrypoints.http.routes.health import BACKLOG_EVERY_S, WRITE_EVERY_S, Dependencies
from support.memory import MemoryUsers
from support.users import USER, snapshot
from support.web import SECRET, Database, bearer, created, signed

OTHER_SECRET = "whsec_" + "b3RoZXIh" * 4
FULL = StoreUnavailableError("53100", Cause.DISK_FULL)
WAITING = OutboxStatus(
    read_at=0.0,
    stored=5,
    lanes=[LaneBacklog(lane=0, owner="a", waiting=5, oldest_s=95.0)],
    dead=0,
    relays={"a": 0.0},
    vacuum_blocker=None,
)


async def health(web) -> tuple[int, dict[str, str], dict[str, str]]:
    response = await web.client.get("/health")
    return response.status_code, response.json()["checks"], response.json()["causes"]


async def failure_metrics(web) -> list[str]:
    text = (await web.client.get("/metrics")).text
    return [line for line in text.splitlines() if line.startswith("auth_failures_total")]


async def test_all_is_well(web):
    status, checks, causes = await health(web)

    assert (status, set(checks.values()), causes) == (200, {"ok"}, {})
    assert set(checks) == {"database", "session_keys", "session_tokens", "webhooks", "clerk", "events", "vacuum"}
    assert set(checks) <= set(RUNBOOKS)


async def test_what_a_stranger_names_a_header_is_in_no_log_and_on_no_page(web):
    headers = [*signed(created()).items(), ("svix-strangers-words", "a"), ("svix-strangers-words", "b")]
    with capture_logs() as logs:
        await web.client.post("/webhooks/clerk", content=b"{}", headers=headers)
        answer = await web.client.get("/health")

    assert "strangers" not in f"{logs} {answer.text} {await failure_metrics(web)}"


async def refuse(web, times: int = 1) -> None:
    """Deliver what carries another secret's signature: Clerk's with a wrong secret of ours, or anybody's."""
    for _ in range(times):
        await web.deliver(created(), sign_webhook(OTHER_SECRET, "msg_1", int(time.time()), created()))


async def test_what_anybody_can_send_is_told_and_degrades_nothing(web):
    with capture_logs() as logs:
        await refuse(web, 12)
        await web.deliver(b"{}", {})
        await web.deliver(b"{}", {"svix-id": "msg_1"})
    response = await web.client.get("/health")

    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert response.json()["checks"]["webhooks"] == "ok"
    assert ", 14 times since the last success" in response.json()["causes"]["webhooks"]
    assert {line["log_level"] for line in logs} == {"info"}


async def test_a_wrong_webhook_secret_is_named_when_somebody_signs_in_of_whom_no_webhook_told(web):
    web.identities.users[USER] = snapshot()
    with capture_logs() as logs:
        await refuse(web, 2)
    await web.me(**bearer())
    status, checks, causes = await health(web)

    assert (status, checks["webhooks"]) == (200, "degraded")
    assert causes["webhooks"].startswith("webhook: wrong signature (")
    assert ", 2 times since the last success" in causes["webhooks"]
    assert (await web.client.get("/health")).json()["labels"] == {"webhooks": "webhook: wrong signature"}
    assert all("No matching signature" in line["cause"] for line in logs if line["event"] == "request")
    assert any('cause="webhook: wrong signature"' in line for line in await failure_metrics(web))


@pytest.mark.parametrize(("off_s", "where"), [(-600, "behind"), (600, "ahead of")])
async def test_a_clock_that_is_off_by_ten_minutes_is_told_from_a_forgery(web, off_s, where):
    body = created()
    with capture_logs() as logs:
        response = await web.deliver(body, sign_webhook(SECRET, "msg_1", int(time.time()) + off_s, body))
    _, _, causes = await health(web)

    assert response.status_code == 400
    assert causes["webhooks"].startswith("webhook: clock differs (Message timestamp too ")
    assert re.search(f"genuine, and (599|60[01]) s {where} our clock", causes["webhooks"])
    assert "our clock" in logs[0]["cause"]
    assert any('cause="webhook: clock differs"' in line for line in await failure_metrics(web))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_genuine_token_of_the_future_tells_that_a_clock_is_off(web, claim):
    with capture_logs() as logs:
        response = await web.client.get("/v1/verify", headers=bearer(**{claim: int(time.time()) + 60}))
    _, checks, causes = await health(web)

    assert response.status_code == 401
    assert checks["session_tokens"] == "degraded"
    assert causes["session_tokens"].startswith("session token: clock differs (genuine")
    assert "clock" in logs[0]["cause"]
    assert any('cause="session token: clock differs"' in line for line in await failure_metrics(web))


async def test_a_forged_or_expired_token_tells_nothing_of_clocks(web):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for claims in ({"nbf": int(time.time()) + 60, "key": other}, {"exp": int(time.time()) - 60}):
        assert (await web.client.get("/v1/verify", headers=bearer(**claims))).status_code == 401

    assert (await health(web))[1]["session_tokens"] == "ok"


async def test_an_old_forgery_is_a_forgery(web):
    other = "whsec_" + "b3RoZXIh" * 4
    await web.deliver(created(), sign_webhook(other, "msg_1", int(time.time()) - 600, created()))
    _, _, causes = await health(web)

    assert causes["webhooks"].startswith("webhook: wrong signature (")


async def test_a_genuine_webhook_ends_the_failure(web):
    await web.deliver(created(), signed(b"something else"))
    await web.deliver(created())
    _, checks, causes = await health(web)

    assert (checks["webhooks"], causes) == ("ok", {})


async def test_a_proven_failure_is_not_hidden_behind_forgeries(web):
    body = created()
    await web.deliver(body, sign_webhook(SECRET, "msg_1", int(time.time()) - 600, body))
    await refuse(web, 3)
    _, checks, causes = await health(web)

    assert checks["webhooks"] == "degraded"
    assert causes["webhooks"].startswith("webhook: clock differs (")


async def test_a_database_that_takes_no_webhook_is_asked_whether_it_still_does_not(web, monkeypatch):
    async def change(*_):
        raise FULL

    monkeypatch.setattr(MemoryUsers, "change", change)
    await health(web)
    with capture_logs() as logs:
        await web.deliver(created())
    web.database.write_fails = FULL
    status, checks, causes = await health(web)

    assert (status, checks["database"]) == (503, "unavailable")
    assert causes["database"] == "PostgreSQL: disk full (53100)"
    assert (logs[0]["cause"], logs[0]["log_level"]) == ("PostgreSQL: disk full (53100)", "warning")
    assert any('cause="PostgreSQL: disk full"' in line for line in await failure_metrics(web))

    web.database.write_fails = None

    assert (await health(web))[0] == 200


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_a_full_disk_is_found_before_the_first_webhook(web, path):
    web.database.write_fails = FULL
    response = await web.client.get(path)

    assert (response.status_code, response.json()["causes"]) == (503, {"database": "PostgreSQL: disk full (53100)"})


async def test_events_that_wait_and_a_transaction_that_blocks_vacuum_are_named_and_no_reason_for_503(web):
    blocker = VacuumBlocker(kind="session", name="42 psql", age_s=900.0)
    web.database.backlog = evolve(WAITING, relays={}, dead=2, vacuum_blocker=blocker)
    status, checks, causes = await health(web)

    assert status == 200
    assert checks["events"] == checks["vacuum"] == "degraded"
    assert causes["events"] == ("no relay is alive; 5 events wait, the oldest for 95 s; 2 events were refused by Kafka")
    assert "session 42 psql has blocked vacuum for 900 s" in causes["vacuum"]


async def test_nobody_relays_while_nothing_waits(web):
    web.database.backlog = evolve(WAITING, relays={}, lanes=[])

    assert (await health(web))[1]["events"] == "ok"


async def test_a_wrong_secret_key_is_named(web, monkeypatch):
    async def get(*_):
        raise ClerkKeyRefusedError("it answered 401: check CLERK_SECRET_KEY")

    monkeypatch.setattr(type(web.identities), "get", get)
    await web.me(**bearer())
    _, checks, causes = await health(web)

    assert checks["clerk"] == "degraded"
    assert causes["clerk"].startswith("Clerk: credentials refused (it answered 401")


def dependencies(database: Database, clock) -> Dependencies:
    return Dependencies(
        check_database=database,
        try_writing=database.try_writing,
        read_backlog=database.status,
        session_keys=None,  # type: ignore[arg-type]  # nothing here looks at them
        failures=RecentFailures(clock),
        shutdown=GracefulShutdown(0.0),
        clock=clock,
    )


class Counting(Database):
    writes = 0
    reads = 0

    async def try_writing(self) -> None:
        self.writes += 1

    async def status(self) -> OutboxStatus:
        self.reads += 1
        return WAITING


async def test_while_all_is_well_it_writes_once_a_minute_and_counts_every_few_seconds():
    now = 1000.0
    database = Counting()
    checked = dependencies(database, lambda: now)
    for _ in range(5):
        await checked.database()
        await checked.events()

    assert (database.writes, database.reads) == (1, 1)

    now += BACKLOG_EVERY_S + 1
    await checked.database()
    await checked.events()

    assert (database.writes, database.reads) == (1, 2)

    now += WRITE_EVERY_S + 1
    await checked.database()

    assert database.writes == 2


def test_a_failure_that_has_not_shown_for_long_is_over():
    now = 0.0
    failures = RecentFailures(lambda: now)
    failures.failed(failure_of(ClerkUnavailableError("ConnectError")))

    assert str(failures.of("Clerk")).startswith("Clerk: out of reach (")

    now = REMEMBERED_S + 1

    assert failures.of("Clerk") is None


def test_the_clients_own_errors_are_no_failures_of_ours():
    assert failure_of(ValueError("x")) is None


async def test_which_hosts_there_are_is_for_the_log_alone(web):
    hosts = "pg1.internal:5432: connection refused, pg2.internal:5432: takes no writes"
    web.database.write_fails = StoreUnavailableError(hosts, Cause.NO_PRIMARY)
    with capture_logs() as logs:
        answers = [await web.client.get(path) for path in ("/health", "/health/ready")]

    assert [answer.json()["causes"]["database"] for answer in answers] == ["PostgreSQL: no primary among the hosts"] * 2
    assert not [answer.text for answer in answers if "internal" in answer.text]
    assert [line["cause"] for line in logs if line["event"] == "not_ready"] == [
        f"PostgreSQL: no primary among the hosts ({hosts})"
    ]
