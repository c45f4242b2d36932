"""How a relay reports a failure: in the log, the metrics and /health."""

import json

import httpx
import pytest
from attrs import evolve
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from application.failure import KAFKA, POSTGRES, Cause, Failure
from application.relay.dead_letters import OutboxStatus, VacuumBlocker
from application.relay.relay_events import Round
from entrypoints.relay.status_server import start_status_server
from entrypoints.relay.telemetry import RelayTelemetry

DENIED = Failure(KAFKA, Cause.NOT_AUTHORIZED, "TopicAuthorizationFailedError")
READ_ONLY = Failure(POSTGRES, Cause.READ_ONLY, "25006")
STATUS = OutboxStatus(read_at=0.0, stored=0, lanes=[], dead=0, relays={}, vacuum_blocker=None)


def counted(cause: str) -> float:
    return REGISTRY.get_sample_value("outbox_failures_total", {"cause": cause}) or 0.0


def test_a_failure_is_named_in_log_metrics_and_health_until_it_is_over():
    telemetry = RelayTelemetry("r")
    before = counted("Kafka: not authorized")
    with capture_logs() as logs:
        for _ in range(3):
            telemetry.users.round_failed(DENIED)
        during = telemetry.health()
        telemetry.users.round_done(Round(0))

    assert [line["event"] for line in logs] == ["events_waiting", "outage_over"]
    assert logs[0]["cause"] == str(DENIED)
    assert counted("Kafka: not authorized") - before == 3
    assert (during["status"], during["causes"]) == ("unavailable", {"events": str(DENIED)})
    assert telemetry.health()["status"] == "ok"


def test_the_same_cause_with_other_details_is_told_once():
    telemetry = RelayTelemetry("r")
    with capture_logs() as logs:
        telemetry.users.round_failed(Failure(KAFKA, Cause.OUT_OF_REACH, "a:1: refused"))
        telemetry.users.round_failed(Failure(KAFKA, Cause.OUT_OF_REACH, "b:1 does not answer"))
        telemetry.users.round_failed(DENIED)

    assert [line["cause"] for line in logs] == ["Kafka: out of reach (a:1: refused)", str(DENIED)]


def test_leases_that_cannot_be_renewed_are_told_although_no_event_waits():
    telemetry = RelayTelemetry("r")
    with capture_logs() as logs:
        telemetry.leases_renewed(READ_ONLY)
        telemetry.leases_renewed(READ_ONLY)
        during = telemetry.health()
        telemetry.leases_renewed(None)
        telemetry.leases_renewed(None)

    assert [line["event"] for line in logs] == ["lane_renewal_failed", "lane_renewal_recovered"]
    assert during["causes"] == {"lanes": str(READ_ONLY)}
    assert telemetry.health()["status"] == "ok"


def test_a_transaction_that_holds_back_vacuum_is_told_when_it_begins_and_ends():
    telemetry = RelayTelemetry("r")
    blocked = evolve(STATUS, vacuum_blocker=VacuumBlocker(kind="session", name="42 psql", age_s=900.0))
    with capture_logs() as logs:
        for status in (STATUS, blocked, blocked):
            telemetry.backlog_read(status)
        during = telemetry.health()
        telemetry.backlog_read(STATUS)

    assert [line["event"] for line in logs] == ["vacuum_blocked", "vacuum_unblocked"]
    assert "session 42 psql" in logs[0]["cause"]
    assert during["status"] == "degraded"
    assert "session 42 psql" in during["causes"]["vacuum"]


@pytest.fixture
def ask():
    telemetry = RelayTelemetry("r")
    port = start_status_server(0, telemetry.health, host="127.0.0.1")

    def ask_(path: str):
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
        return answer.status_code, answer.text

    return telemetry, ask_


@pytest.mark.parametrize("path", ["/health", "/health/live", "/metrics", "/nothing"])
def test_a_relay_answers_head_as_get_without_a_body_and_tells_a_wrong_method_the_right_ones(path):
    port = start_status_server(0, RelayTelemetry("r").health, host="127.0.0.1")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        head, get, post = [http.request(method, path) for method in ("HEAD", "GET", "POST")]

    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers.get("content-type") == get.headers.get("content-type")
    assert "content-length" in head.headers
    if path == "/nothing":
        assert (get.status_code, post.status_code) == (404, 404)
    else:
        assert (get.status_code, post.status_code, post.headers["allow"]) == (200, 405, "GET, HEAD")


def test_a_relay_answers_its_health_its_life_and_its_metrics(ask):
    telemetry, get = ask
    well = get("/health")
    telemetry.users.round_failed(DENIED)
    ill = get("/health")

    assert (well[0], json.loads(well[1])["status"]) == (200, "ok")
    assert (ill[0], json.loads(ill[1])["causes"]) == (503, {"events": str(DENIED)})
    assert get("/health/live")[0] == 200
    status, text = get("/metrics")
    assert status == 200
    assert 'outbox_failures_total{cause="Kafka: not authorized"}' in text


def test_a_failure_of_one_topic_is_not_over_because_the_other_goes_well():
    telemetry = RelayTelemetry("r")
    telemetry.sessions.round_failed(DENIED)
    with capture_logs() as logs:
        telemetry.users.round_done(Round(0))
    during = (telemetry.health()["causes"], REGISTRY.get_sample_value("outbox_relay_failing"))
    telemetry.sessions.round_done(Round(0))

    assert logs == []
    assert during == ({"session_events": str(DENIED)}, 1)
    assert (telemetry.health()["status"], REGISTRY.get_sample_value("outbox_relay_failing")) == ("ok", 0)
