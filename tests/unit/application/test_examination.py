import pytest
from attrs import evolve

from application.examination import (
    DatabaseFacts,
    Grade,
    TopicFacts,
    database_findings,
    outbox_findings,
    topic_findings,
)
from application.outbox_status import LaneBacklog, OutboxStatus, VacuumBlocker

DATABASE = DatabaseFacts(
    server="17.0",
    revision="0001",
    head="0001",
    read_only=False,
    clock_ahead_s=0.1,
    settings={"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"},
    outbox_options={"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_cost_delay": "0"},
    outbox_bytes=8192,
)
OUTBOX = OutboxStatus(
    read_at=0.0,
    stored=10,
    lanes=[LaneBacklog(lane=0, owner="a", waiting=2, oldest_s=1.0)],
    dead=0,
    relays={"a": 1.0},
    vacuum_blocker=None,
)
TOPIC = TopicFacts(topic="users", partitions=6, settings={"retention.ms": "604800000", "cleanup.policy": "delete"})


def bad(findings) -> dict[str, Grade]:
    return {finding.check: finding.grade for finding in findings if finding.grade is not Grade.OK}


def test_a_healthy_service_has_nothing_to_be_done():
    findings = [*database_findings(DATABASE), *outbox_findings(OUTBOX), *topic_findings(TOPIC)]

    assert bad(findings) == {}
    assert {finding.advice for finding in findings} == {""}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"revision": None}, {"schema": Grade.FAILURE}),
        ({"revision": "0000"}, {"schema": Grade.FAILURE}),
        ({"read_only": True}, {"writes": Grade.FAILURE}),
        ({"clock_ahead_s": -600.0}, {"clock": Grade.FAILURE}),
        ({"settings": {"fsync": "off"}}, {"durability": Grade.WARNING}),
        ({"settings": {"synchronous_commit": "off"}}, {"durability": Grade.WARNING}),
        ({"outbox_options": {}}, {"autovacuum": Grade.WARNING}),
        ({"outbox_options": {"autovacuum_vacuum_scale_factor": "0.2"}}, {"autovacuum": Grade.WARNING}),
    ],
)
def test_what_is_wrong_with_the_database_is_found_and_has_advice(change, expected):
    findings = list(database_findings(evolve(DATABASE, **change)))

    assert bad(findings) == expected
    assert all(finding.advice for finding in findings if finding.grade is not Grade.OK)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"relays": {}}, {"relay": Grade.FAILURE}),
        ({"relays": {"a": 3600.0}}, {"relay": Grade.FAILURE}),
        ({"relays": {}, "lanes": []}, {"relay": Grade.WARNING}),
        ({"lanes": [LaneBacklog(lane=0, owner="a", waiting=9, oldest_s=300.0)]}, {"relay": Grade.FAILURE}),
        ({"dead": 3}, {"dead letters": Grade.WARNING}),
        ({"vacuum_blocker": VacuumBlocker(kind="session", name="42", age_s=900.0)}, {"vacuum": Grade.WARNING}),
        ({"vacuum_blocker": VacuumBlocker(kind="replication slot", name="s", age_s=None)}, {"vacuum": Grade.WARNING}),
    ],
)
def test_what_is_wrong_with_the_outbox_is_found_and_has_advice(change, expected):
    findings = list(outbox_findings(evolve(OUTBOX, **change)))

    assert bad(findings) == expected
    assert all(finding.advice for finding in findings if finding.grade is not Grade.OK)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"partitions": None}, {"topic": Grade.FAILURE}),
        ({"settings": {"retention.ms": "-1", "cleanup.policy": "delete"}}, {"retention": Grade.WARNING}),
        ({"settings": {"retention.ms": "1", "max.message.bytes": "1000"}}, {"message size": Grade.WARNING}),
    ],
)
def test_what_is_wrong_with_the_topic_is_found_and_has_advice(change, expected):
    findings = list(topic_findings(evolve(TOPIC, **change)))

    assert bad(findings) == expected
    assert all(finding.advice for finding in findings if finding.grade is not Grade.OK)
