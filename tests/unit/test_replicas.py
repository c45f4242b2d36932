"""What is said of replicas: by their own state, in `/health`, in the log and by `doctor`."""

from sdktest.rows import each_row
from structlog.testing import capture_logs

from adapters.postgres.replica import State, judged
from application.doctor.findings import Severity, Unanswered
from application.doctor.replica import replica_findings
from application.failure import REPLICA, Cause, Failure
from application.users.replica import MAX_BEHIND_S, NOT_ASKED
from entrypoints.http.routes.health import log_replica
from support.web import web

AWAY = Failure(REPLICA, Cause.OUT_OF_REACH)
PRIMARY = Failure(REPLICA, Cause.NOT_A_STANDBY)
LATE = Failure(REPLICA, Cause.TOO_FAR_BEHIND)


@each_row(
    ("state", "cluster", "cause"),
    [
        (State(True, 7, 0.1), 7, None),
        (State(True, 7, MAX_BEHIND_S), 7, None),
        (State(True, 7, MAX_BEHIND_S + 1), 7, Cause.TOO_FAR_BEHIND),
        (State(True, 7, -MAX_BEHIND_S - 1), 7, Cause.TOO_FAR_BEHIND),
        (State(True, 7, None), 7, Cause.TOO_FAR_BEHIND),
        (State(True, 7, 0.1), 8, Cause.OTHER_CLUSTER),
        (State(True, 7, 0.1), None, Cause.NO_ANSWER),
        (State(False, 7, None), 7, Cause.NOT_A_STANDBY),
    ],
)
def test_only_a_close_standby_of_the_primarys_cluster_is_read(state, cluster, cause):
    failure = judged(state, cluster)

    assert (failure and failure.cause) == cause


class Addresses:
    def __init__(self, **failures: Failure | None) -> None:
        self.failures = failures


@each_row(
    ("failures", "state", "cause"),
    [
        ({"a": None}, "ok", None),
        ({"a": None, "b": PRIMARY}, "ok", None),
        ({"a": None, "b": AWAY}, "ok", "b: PostgreSQL replica: out of reach"),
        (
            {"a": AWAY, "b": PRIMARY},
            "degraded",
            "a: PostgreSQL replica: out of reach; b: PostgreSQL replica: not a standby",
        ),
        ({"a": PRIMARY}, "degraded", "a: PostgreSQL replica: not a standby"),
        ({"a": NOT_ASKED}, "not asked yet", "a: PostgreSQL replica: no answer in time (not asked yet)"),
    ],
)
async def test_health_names_replicas_and_stays_ready(failures, state, cause):
    async with web() as started:
        started.container.health_dependencies().replicas = Addresses(**failures)
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

    assert [finding.grade for finding in found] == [
        Severity.OK,
        Severity.WARNING,
        Severity.WARNING,
        Severity.FAILURE,
    ]
    assert [bool(finding.advice) for finding in found] == [False, True, True, True]
    [unanswered] = replica_findings(Unanswered(AWAY))
    assert "DATABASE_REPLICA_URL" in unanswered.advice
