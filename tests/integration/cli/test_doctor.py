"""`auth-service doctor` against real servers, well and ill."""

import json
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from integration.conftest import create_topic
from support import commands


@pytest.fixture
async def examine(tmp_path, database_url, kafka_address, topic):
    await create_topic(kafka_address, f"{topic}-sessions", segment_ms="86400000", retention_ms="3600000")

    def run(**changes: str) -> tuple[int, dict[str, dict[str, str]]]:
        environment = {
            "DATABASE_URL": database_url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka_address,
            "KAFKA_USER_EVENTS_TOPIC": topic,
            "KAFKA_SESSION_EVENTS_TOPIC": f"{topic}-sessions",
            **changes,
        }
        done = commands.run("doctor", "--json", env=environment, cwd=tmp_path)
        assert done.stdout, done.stderr
        # Of several topics, what is found of the first.
        return done.returncode, {finding["check"]: finding for finding in reversed(json.loads(done.stdout))}

    return run


def test_servers_that_are_well_have_no_failure(examine):
    code, findings = examine()

    assert code == 0, findings
    assert findings["schema"]["severity"] == "ok"
    assert findings["autovacuum"]["severity"] == "ok"
    assert "6 partitions" in findings["topic"]["says"]
    assert findings["relay"]["says"].startswith("no relay is alive")


def test_a_database_without_its_schema_is_told_to_migrate(examine, empty_database):
    code, findings = examine(DATABASE_URL=empty_database)

    assert code == 1
    assert findings["schema"]["advice"] == "auth-service migrate"
    assert findings["schema"]["runbook"] == "docs/runbooks.md#databaseunavailable"


def test_servers_that_are_not_there_are_both_named(examine):
    code, findings = examine(DATABASE_URL="postgresql://x@127.0.0.1:1/x", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert code == 1
    assert (findings["database"]["severity"], findings["kafka"]["severity"]) == ("failure", "failure")


def test_a_topic_that_is_not_there_is_told(examine):
    code, findings = examine(KAFKA_USER_EVENTS_TOPIC="nobody-made-this")

    assert code == 1
    assert "does not exist" in findings["topic"]["says"]


def test_a_topic_of_sessions_that_is_not_there_is_told(examine):
    code, findings = examine(KAFKA_SESSION_EVENTS_TOPIC="nobody-made-this")

    assert code == 1
    assert findings["topic"]["severity"] == "ok"


async def test_a_role_without_rights_on_the_sessions_is_told(examine, database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "DROP ROLE IF EXISTS poor_doctor; CREATE ROLE poor_doctor LOGIN PASSWORD 'poor';"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO poor_doctor;"
        "REVOKE ALL ON revoked_session FROM poor_doctor"
    )
    parts = urlsplit(database_url)
    poor = urlunsplit(parts._replace(netloc=f"poor_doctor:poor@{parts.netloc.rpartition('@')[2]}"))
    code, findings = examine(DATABASE_URL=poor)
    await connection.execute("DROP OWNED BY poor_doctor; DROP ROLE poor_doctor")
    await connection.close()

    assert code == 1
    assert findings["writes"]["severity"] == "failure"
    assert "not authorized" in findings["writes"]["says"]


async def test_lost_vacuum_settings_and_a_database_that_takes_no_writes_are_told(examine, database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE outbox RESET (autovacuum_vacuum_cost_delay)")
    await connection.close()

    code, findings = examine(DATABASE_URL=f"{database_url}?options=-c%20default_transaction_read_only%3Don")

    assert code == 1
    assert findings["autovacuum"]["advice"] == "ALTER TABLE outbox SET (autovacuum_vacuum_cost_delay = 0)"
    assert findings["writes"]["severity"] == "failure"
