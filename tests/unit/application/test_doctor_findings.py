"""`doctor`'s verdicts as a table: facts on the left, what is found on the right."""

import pytest
from attrs import evolve
from sdktest.rows import each_row

from application.doctor.clerk import KeySet, clerk_findings
from application.doctor.clocks import clock_findings
from application.doctor.database import database_findings, write_findings
from application.doctor.findings import Finding, Severity, Unanswered, not_checked, passed
from application.doctor.outbox import outbox_findings
from application.doctor.schema_state import SchemaState
from application.doctor.serving import ServingFacts, serving_findings
from application.doctor.topics import topic_findings
from application.failure import KAFKA, POSTGRES, Cause, Failure
from application.relay.dead_letters import LaneBacklog, VacuumBlocker
from application.relay.topics import DAY_MS
from support.doctor_facts import AWAY, CLERK, DATABASE, KEYS, OUTBOX, STATE_TOPIC, TOPIC

OK, WARNING, FAILURE = Severity.OK, Severity.WARNING, Severity.FAILURE


def bad(findings) -> dict[str, Severity]:
    """What is not well, and all of it with advice."""
    found = [finding for finding in findings if finding.severity is not OK]
    assert all(finding.advice for finding in found), found
    return {finding.check: finding.severity for finding in found}


def test_a_healthy_service_has_nothing_to_be_done():
    findings = [
        *database_findings(DATABASE),
        *write_findings(DATABASE, None),
        *outbox_findings(OUTBOX),
        *topic_findings([TOPIC, STATE_TOPIC]),
        *clerk_findings(CLERK),
        *clock_findings({"PostgreSQL": 0.1, "Clerk": -0.9}),
    ]

    assert bad(findings) == {}
    assert {finding.advice for finding in findings} == {""}
    assert passed(findings, strict=True)


@each_row(
    ("change", "expected"),
    [
        ({"revision": None, "schema": SchemaState.EMPTY}, {"schema": FAILURE}),
        ({"revision": "0001", "schema": SchemaState.BEHIND}, {"schema": FAILURE}),
        ({"revision": "0003", "schema": SchemaState.NEWER}, {"schema": WARNING}),
        ({"revision": "0002", "schema": SchemaState.FOREIGN}, {"schema": FAILURE}),
        ({"encoding": "SQL_ASCII"}, {"encoding": FAILURE}),
        ({"pooled": True}, {}),
        ({"version": 140_005}, {"database version": WARNING}),
        ({"settings": {"fsync": "off"}}, {"durability": WARNING}),
        ({"settings": {"synchronous_commit": "off"}}, {"durability": WARNING}),
        ({"settings": {"full_page_writes": "off"}}, {"durability": WARNING}),
        ({"settings": {"autovacuum": "off"}}, {"autovacuum": FAILURE}),
        ({"settings": {"track_counts": "off"}}, {"autovacuum": FAILURE}),
        ({"outbox_options": {}}, {"autovacuum": WARNING}),
        ({"outbox_options": {"autovacuum_vacuum_scale_factor": "0.2"}}, {"autovacuum": WARNING}),
        ({"idle_limit_ms": 0}, {"idle transactions": WARNING}),
        ({"waiting_for_standby": 2}, {"durability": WARNING}),
        ({"connections": 95}, {"connections": WARNING}),
        ({"users_bytes": 80_000_000}, {"statistics": WARNING}),
        ({"users_bytes": 80_000_000, "users_analyzed": True}, {}),
    ],
)
def test_what_is_wrong_with_the_database_is_found(change, expected):
    assert bad(database_findings(evolve(DATABASE, **change))) == expected


def test_parameters_that_change_nothing_are_named():
    findings = database_findings(evolve(DATABASE, ignored=["channel_binding", "pool_timeout"]))

    assert [each.says for each in findings if each.check == "DATABASE_URL"] == [
        "channel_binding, pool_timeout: ignored (see docs/hosting.md)"
    ]


def test_a_schema_behind_says_how_far_and_which():
    [schema] = [
        finding
        for finding in database_findings(evolve(DATABASE, revision="0001", schema=SchemaState.BEHIND))
        if finding.severity is FAILURE
    ]

    assert schema.says == "at 0001, 1 behind 0002, which this version expects"
    assert schema.advice == "auth-service migrate"


@each_row("cause", Cause)
def test_a_write_that_fails_is_named_with_its_cause(cause):
    [writes] = write_findings(DATABASE, Unanswered(Failure(POSTGRES, cause, "53100")))

    assert (writes.severity, writes.says) == (FAILURE, f"PostgreSQL: {cause} (53100)")
    assert writes.advice


def test_a_standby_is_told_to_be_one():
    [writes] = write_findings(evolve(DATABASE, standby=True), Unanswered(Failure(POSTGRES, Cause.READ_ONLY)))

    assert "standby" in writes.advice


def test_a_database_that_does_not_answer_is_said_once():
    gone = Unanswered(Failure(POSTGRES, Cause.OUT_OF_REACH, "ConnectionRefusedError"))

    assert bad(database_findings(gone)) == {"database": FAILURE}
    assert [*write_findings(gone, gone)] == []
    assert bad(outbox_findings(gone)) == {"relay": WARNING}


@each_row(
    ("change", "expected"),
    [
        ({"relays": {}}, {"relay": FAILURE}),
        ({"relays": {"a": 3600.0}}, {"relay": FAILURE}),
        ({"relays": {}, "lanes": []}, {"relay": WARNING}),
        ({"lanes": [LaneBacklog(lane=0, owner="a", waiting=9, oldest_s=300.0)]}, {"relay": FAILURE}),
        ({"dead": 3}, {"dead letters": WARNING}),
        ({"vacuum_blocker": VacuumBlocker(kind="session", name="42", age_s=900.0)}, {"vacuum": WARNING}),
        ({"vacuum_blocker": VacuumBlocker(kind="replication slot", name="s", age_s=None)}, {"vacuum": WARNING}),
    ],
)
def test_what_is_wrong_with_the_outbox_is_found(change, expected):
    assert bad(outbox_findings(evolve(OUTBOX, **change))) == expected


def settings(**changes: str) -> dict[str, dict[str, str]]:
    return {
        "settings": {**(TOPIC.settings or {}), **{name.replace("_", "."): value for name, value in changes.items()}}
    }


@each_row(
    ("change", "expected"),
    [
        ({"partitions": None}, {"topic": FAILURE}),
        ({"partitions": None, "hidden": True}, {"topic": FAILURE}),
        ({"partitions": 3}, {"topic settings": WARNING}),
        ({"partitions": 60}, {}),
        ({"replication_factor": 1, "in_sync": 1, **settings(min_insync_replicas="1")}, {"topic settings": WARNING}),
        ({"replication_factor": 1, "in_sync": 1, "brokers": 1, **settings(min_insync_replicas="1")}, {}),
        ({"in_sync": 2}, {"topic copies": WARNING}),
        ({"in_sync": 1}, {"topic copies": FAILURE}),
        ({"leaderless": 1}, {"topic copies": FAILURE}),
        (settings(min_insync_replicas="1"), {"topic settings": WARNING}),
        (settings(min_insync_replicas="4"), {"topic settings": FAILURE}),
        (settings(retention_ms="-1"), {"topic settings": WARNING}),
        (settings(retention_ms=str(28 * DAY_MS)), {"topic settings": WARNING}),
        (settings(segment_ms=str(7 * DAY_MS)), {"topic settings": WARNING}),
        ({"out_of_reach": AWAY}, {"kafka": FAILURE}),
        (settings(max_message_bytes="1000"), {"topic settings": WARNING}),
        (settings(cleanup_policy="compact"), {"topic settings": FAILURE}),
        (settings(cleanup_policy="compact,delete"), {"topic settings": FAILURE}),
        ({"settings": None}, {"topic settings": WARNING}),
        ({"operations": frozenset({"describe", "read"})}, {"topic rights": FAILURE}),
        ({"operations": frozenset({"describe", "write"})}, {"topic rights": WARNING}),
        ({"operations": None}, {}),
    ],
)
def test_what_is_wrong_with_the_topic_is_found(change, expected):
    assert bad(topic_findings([evolve(TOPIC, **change)])) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("cleanup.policy", "delete", FAILURE),
        ("delete.retention.ms", str(DAY_MS), WARNING),
        ("max.compaction.lag.ms", "9223372036854775807", WARNING),
    ],
)
def test_what_is_wrong_with_the_state_topic_is_found(name, value, expected):
    facts = evolve(STATE_TOPIC, settings={**STATE_TOPIC.settings, name: value})

    assert bad(topic_findings([TOPIC, facts])) == {"topic settings": expected}


def test_brokers_out_of_reach_and_a_wrong_password_have_different_advice():
    [away] = topic_findings(Unanswered(Failure(KAFKA, Cause.OUT_OF_REACH)))
    [wrong] = topic_findings(Unanswered(Failure(KAFKA, Cause.NOT_AUTHENTICATED)))

    assert "the network between (KAFKA_BOOTSTRAP_SERVERS" in away.advice
    assert "user and password" in wrong.advice


KEYS_AWAY = KeySet(address="clerk.example.com", status=None, problem="out of reach (ConnectError)")


@each_row(
    ("change", "expected"),
    [
        ({"of_secret_key": None}, {}),
        ({"of_secret_key": evolve(KEYS_AWAY, status=401, problem="it answers 401")}, {"clerk secret key": FAILURE}),
        ({"of_secret_key": evolve(KEYS_AWAY, status=500, problem="it answers 500")}, {"clerk secret key": FAILURE}),
        ({"of_secret_key": KEYS_AWAY}, {"clerk secret key": FAILURE}),
        ({"published": KEYS_AWAY}, {"signing keys": WARNING}),
        ({"published": KEYS_AWAY, "pem_thumbprint": None}, {"signing keys": FAILURE}),
        ({"published": None}, {}),
        ({"pem_thumbprint": None}, {}),
        ({"pem_thumbprint": "B"}, {"clerk instance": FAILURE}),
        ({"of_secret_key": evolve(KEYS, keys={"ins_2": "B"})}, {"clerk instance": FAILURE}),
        ({"published": evolve(KEYS, keys={"ins_2": "B", "ins_1": "A"})}, {}),
    ],
)
def test_what_is_wrong_with_clerk_is_found(change, expected):
    assert bad(clerk_findings(evolve(CLERK, **change))) == expected


def test_a_key_of_another_instance_names_the_variables():
    says = [f.says for f in clerk_findings(evolve(CLERK, pem_thumbprint="B")) if f.severity is FAILURE]

    assert all("CLERK_JWT_KEY" in text for text in says)
    assert len(says) == 2


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        ({"PostgreSQL": 0.4, "Clerk": -0.6}, {}),
        ({"Clerk": 600.0}, {"clock": FAILURE}),
        ({"PostgreSQL": -600.0}, {"clock": FAILURE}),
        ({"PostgreSQL": 0.0, "Clerk": 600.0}, {"clock": FAILURE}),
        ({}, {}),
    ],
)
def test_a_clock_that_is_off_is_found(ahead, expected):
    assert bad(clock_findings(ahead)) == expected


def test_a_clock_that_is_off_is_told_with_its_distance_and_whose_it_is():
    ours = [*clock_findings({"PostgreSQL": 600.4, "Clerk": 599.0})]
    theirs = [*clock_findings({"PostgreSQL": 600.0, "Clerk": 0.0})]

    assert [finding.says for finding in ours] == [
        "clock differs: this machine's clock is 600 s behind PostgreSQL's",
        "clock differs: this machine's clock is 599 s behind Clerk's",
    ]
    assert all("synchronise this machine's (NTP)" in finding.advice for finding in ours)
    assert "this machine's or PostgreSQL's" in theirs[0].advice


@each_row(
    ("state", "label", "detail", "expected"),
    [
        ("degraded", "webhook: wrong signature", ": No matching signature found (3 times, …)", FAILURE),
        ("ok", "webhook: wrong signature", ": No matching signature found (3 times, …)", WARNING),
        ("degraded", "webhook: clock differs", ": genuine, and 600 s behind our clock", FAILURE),
        ("degraded", "webhook: malformed", ": svix-id is missing", WARNING),
        ("degraded", "Clerk: credentials refused", ": 401", FAILURE),
        ("degraded", "Clerk: out of reach", ": ConnectError", WARNING),
        ("unavailable", "PostgreSQL: disk full", " (53100)", FAILURE),
    ],
)
def test_what_a_running_serve_has_met_is_told_in_its_words(state, label, detail, expected):
    cause = f"{label}{detail}"
    facts = ServingFacts(
        address="http://127.0.0.1:3002",
        answers=True,
        checks={"x": state},
        causes={"x": cause},
        labels={"x": label},
    )
    [found] = serving_findings(facts)

    assert (found.check, found.severity, found.says) == ("serve: x", expected, cause)
    assert found.advice


def test_a_serve_without_failures_and_no_serve_at_all_are_fine():
    quiet = ServingFacts(address="a", answers=True, checks={"x": "ok", "y": "not asked yet"})

    assert [finding.severity for finding in serving_findings(quiet)] == [OK]
    assert [finding.severity for finding in serving_findings(ServingFacts(address="a", answers=False))] == [OK]


@each_row(
    ("check", "runbook"),
    [
        ("relay", "docs/runbooks.md#relayabsent"),
        ("serve: webhooks", "docs/runbooks.md#webhooksrejected"),
        ("serve: clerk", "docs/runbooks.md#meerrors"),
        ("serve: a check of a later release", "docs/operations.md#finding-the-cause"),
    ],
)
def test_what_is_wrong_names_its_entry_in_the_documentation(check, runbook):
    assert Finding(check, WARNING, "").runbook == Finding(check, FAILURE, "").runbook == runbook
    assert Finding(check, OK, "").runbook == ""


def test_warnings_pass_unless_asked_to_be_strict():
    warned = [Finding("a", OK, ""), not_checked("b", "nobody knows")]

    assert passed(warned)
    assert not passed(warned, strict=True)
    assert not passed([Finding("a", FAILURE, "")])
