import pytest
from attrs import evolve

from application.doctor.cluster import ClusterFacts, Distribution, cluster_findings, why_not_distributable
from application.doctor.findings import Severity

WANTED = {"users": "id", "outbox": "key"}
WELL = ClusterFacts(
    version="13.2-1",
    coordinator=True,
    knows_itself=True,
    logical=True,
    servers=["worker-1:5432", "worker-2:5432"],
    silent=[],
    wanted=WANTED,
    tables={
        "users": Distribution(column="id", colocation=3, shards=32),
        "outbox": Distribution(column="key", colocation=3, shards=32),
    },
)
NOT_YET = evolve(WELL, tables={})


def found(facts: ClusterFacts | None) -> list[tuple[str, Severity, str]]:
    return [(finding.check, finding.severity, finding.says) for finding in cluster_findings(facts)]


def test_a_cluster_that_is_well_says_what_is_where():
    assert found(WELL) == [("distribution", Severity.OK, "Citus 13.2-1: by user, 32 shards on 2 servers")]


@pytest.mark.parametrize("facts", [None, evolve(NOT_YET, servers=[])])
def test_an_ordinary_postgresql_is_not_talked_about(facts):
    assert found(facts) == []


def test_a_cluster_whose_tables_are_on_one_server_is_well_too():
    [(check, severity, says)] = found(NOT_YET)

    assert (check, severity) == ("distribution", Severity.OK)
    assert "no table is distributed" in says


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"tables": {"users": WELL.tables["users"]}}, "distribution", "not distributed: outbox"),
        (
            {"tables": {**WELL.tables, "users": Distribution(column="email", colocation=3, shards=32)}},
            "distribution",
            "users by email, not by id",
        ),
        (
            {"tables": {**WELL.tables, "outbox": Distribution(column="key", colocation=4, shards=32)}},
            "distribution",
            "outbox is not colocated with users",
        ),
        (
            {"tables": {**WELL.tables, "users": Distribution(column=None, colocation=3, shards=1)}},
            "distribution",
            "users by nothing, not by id",
        ),
        ({"silent": ["worker-2:5432"]}, "citus workers", "no answer from worker-2:5432"),
        ({"coordinator": False}, "citus", "this server is a worker"),
        ({"functions_missing": True}, "distribution", "the functions of this release are missing"),
    ],
)
def test_what_is_wrong_with_a_cluster_is_named_and_has_advice(changes, check, words):
    [finding] = [each for each in cluster_findings(evolve(WELL, **changes)) if each.severity is Severity.FAILURE]

    assert finding.check == check
    assert words in finding.says
    assert finding.advice


def test_a_worker_that_only_the_coordinator_reaches_is_a_warning_and_one_that_nobody_reaches_is_told_once():
    facts = evolve(WELL, unreached=["worker-1:5432", "worker-2:5432"], silent=["worker-2:5432"])

    assert [(severity, says) for check, severity, says in found(facts) if check == "citus workers"] == [
        (Severity.FAILURE, "no answer from worker-2:5432: the users that are there cannot be written or read"),
        (Severity.WARNING, "no connection from here to worker-1:5432: the coordinator forwards their writes"),
    ]


def test_a_version_that_this_service_was_not_run_on_is_a_warning():
    assert ("citus", Severity.WARNING) in [each[:2] for each in found(evolve(WELL, version="12.1-1"))]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (None, "CREATE EXTENSION citus"),
        (evolve(NOT_YET, version="12.1-1"), "Citus 12.1-1 is too old: 13 or newer"),
        (evolve(NOT_YET, coordinator=False), "point DATABASE_URL at the coordinator"),
        (evolve(NOT_YET, servers=[]), "citus_add_node"),
        (evolve(NOT_YET, silent=["worker-1:5432"]), "no answer from worker-1:5432"),
        (evolve(NOT_YET, knows_itself=False), "citus_set_coordinator_host"),
        (
            evolve(WELL, tables={"users": Distribution(column="email", colocation=3, shards=32)}),
            "users by email, not by id",
        ),
        (NOT_YET, None),
        (WELL, None),
    ],
)
def test_what_has_to_be_done_before_tables_can_be_distributed_is_said(facts, words):
    problem = why_not_distributable(facts)

    assert problem is None if words is None else words in problem
