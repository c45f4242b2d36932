"""What is said of replicas: by their own state, in `/health`, in the log and by `doctor`."""

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from unittest.mock import AsyncMock

from dependency_injector.providers import Object
from sdktest.rows import each_row
from structlog.testing import capture_logs

from adapters.postgres.connection.target import read_target
from adapters.postgres.replica import PostgresReplicas, State, judged
from application.doctor.database import replica_findings
from application.doctor.findings import Severity, Unanswered
from application.failure import REPLICA, Cause, Failure
from application.users.replica import MAX_BEHIND_S, NOT_ASKED
from entrypoints.observability.logging import log_replica
from support.web import web

AWAY = Failure(REPLICA, Cause.OUT_OF_REACH)
PRIMARY = Failure(REPLICA, Cause.NOT_A_STANDBY)
LATE = Failure(REPLICA, Cause.TOO_FAR_BEHIND)


@each_row(
    ("state", "primary", "cause"),
    [
        (State(True, 7, 1, 0.1), (7, 1), None),
        (State(True, 7, 1, MAX_BEHIND_S), (7, 1), None),
        (State(True, 7, 1, MAX_BEHIND_S + 1), (7, 1), Cause.TOO_FAR_BEHIND),
        (State(True, 7, 1, -MAX_BEHIND_S - 1), (7, 1), Cause.TOO_FAR_BEHIND),
        (State(True, 7, 1, None), (7, 1), Cause.TOO_FAR_BEHIND),
        (State(True, 7, 1, 0.1), (8, 1), Cause.OTHER_CLUSTER),
        (State(True, 7, 1, 0.1), (7, 2), Cause.OTHER_TIMELINE),
        (State(True, 7, 2, 0.1), (7, 1), Cause.OTHER_TIMELINE),
        (State(True, 7, 1, 0.1), None, Cause.NO_ANSWER),
        (State(False, 7, 1, None), (7, 1), Cause.NOT_A_STANDBY),
        (State(True, 7, 1, None, distributed=True), (7, 1), Cause.CONFIGURATION),
    ],
)
def test_only_a_close_standby_of_the_primary_is_read(state, primary, cause):
    failure = judged(state, primary)

    assert (failure and failure.cause) == cause


async def test_replicas_that_are_looked_at_together_are_judged_by_one_answer_of_the_primary(monkeypatch):
    asked = []

    class Primary:
        async def execute(self, statement, _):
            asked.append(statement)
            await asyncio.sleep(0)
            return SimpleNamespace(one=lambda: SimpleNamespace(cluster=7, timeline="00000001"))

    monkeypatch.setattr("adapters.postgres.replica.connected", lambda _: nullcontext(Primary()))
    replicas = PostgresReplicas(read_target("postgresql://a:5432,b:5432/users"), primary=None)
    monkeypatch.setattr(PostgresReplicas, "_state_of", AsyncMock(return_value=State(True, 7, 1, 0.1)))

    await replicas.look()

    assert list(replicas.failures.values()) == [None, None]
    assert len(asked) == 1


async def test_a_silent_primary_holds_up_nothing_that_is_decided_about_a_replica(monkeypatch):
    answers = iter([SimpleNamespace(one=lambda: SimpleNamespace(cluster=7, timeline="00000001"))])

    class Primary:
        async def execute(self, *_):
            return next(answers, None) or await asyncio.Event().wait()

    monkeypatch.setattr("adapters.postgres.replica.connected", lambda _: nullcontext(Primary()))
    monkeypatch.setattr("adapters.postgres.replica.LOOK_EVERY_S", 0.01)
    state = AsyncMock(return_value=State(True, 7, 1, 0.1))
    monkeypatch.setattr(PostgresReplicas, "_state_of", state)
    replicas = PostgresReplicas(read_target("postgresql://a:5432/users"), primary=None)
    await replicas.start()
    async with asyncio.timeout(10):
        for timeline, cause in ((1, None), (2, Cause.OTHER_TIMELINE)):
            state.return_value = State(True, 7, timeline, 0.1)
            while [each and each.cause for each in replicas.failures.values()] != [cause]:
                await asyncio.sleep(0.01)
    await replicas.aclose()


class Addresses:
    def __init__(self, **failures: Failure | None) -> None:
        self.failures = failures


@each_row(
    ("failures", "state", "cause"),
    [
        ({"a": None}, "ok", None),
        ({"a": None, "b": PRIMARY}, "ok", None),
        ({"a": None, "b": AWAY}, "ok", "1 of 2: PostgreSQL replica: out of reach"),
        (
            {"a": AWAY, "b": PRIMARY},
            "degraded",
            "1 of 2: PostgreSQL replica: out of reach; 1 of 2: PostgreSQL replica: not a standby",
        ),
        ({"a": PRIMARY}, "degraded", "1 of 1: PostgreSQL replica: not a standby"),
        ({"a": AWAY, "b": AWAY}, "degraded", "2 of 2: PostgreSQL replica: out of reach"),
        ({"a": NOT_ASKED}, "not asked yet", "1 of 1: PostgreSQL replica: no answer in time (not asked yet)"),
    ],
)
async def test_health_counts_replicas_without_naming_them_and_stays_ready(failures, state, cause):
    async with web() as started:
        started.container.replicas.override(Object(Addresses(**failures)))
        health = await started.client.get("/health")
        ready = await started.client.get("/health/ready")

    assert (health.status_code, ready.status_code) == (200, 200)
    assert health.json()["status"] == ("degraded" if state == "degraded" else "ok")
    assert health.json()["checks"]["replica"] == state
    assert health.json()["causes"].get("replica") == cause


def test_the_log_names_the_address_and_the_cause():
    with capture_logs() as lines:
        log_replica("db2:5432", AWAY)
        log_replica("db2:5432", None)

    assert lines == [
        {
            "event": "replica_unavailable",
            "log_level": "warning",
            "replica": "db2:5432",
            "cause": "PostgreSQL replica: out of reach",
        },
        {"event": "replica_recovered", "log_level": "info", "replica": "db2:5432"},
    ]


def test_the_doctor_says_of_each_address_what_is_to_be_done():
    refused = Failure(REPLICA, Cause.NOT_AUTHENTICATED)
    found = [*replica_findings({"a:1": None, "b:2": PRIMARY, "c:3": LATE, "d:4": refused})]

    assert [finding.severity for finding in found] == [
        Severity.OK,
        Severity.WARNING,
        Severity.WARNING,
        Severity.FAILURE,
    ]
    assert [bool(finding.advice) for finding in found] == [False, True, True, True]
    [unanswered] = replica_findings(Unanswered(AWAY))
    assert "DATABASE_REPLICA_URL" in unanswered.advice
