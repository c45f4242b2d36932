"""`auth-service topic create|check` against a real broker."""

import json

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from adapters.kafka.doctor import examine_topics
from application.relay.topics import EVENTS, SESSIONS, STATE, Topic, differences
from support import commands


@pytest.fixture
def run(tmp_path, kafka_address):
    def run_(*arguments: str, **variables: str) -> tuple[int, str, str]:
        users = variables.get("KAFKA_USER_EVENTS_TOPIC", "users")
        variables.setdefault("KAFKA_SESSION_EVENTS_TOPIC", f"{users}-sessions")
        done = commands.run(
            "topic", *arguments, env={"KAFKA_BOOTSTRAP_SERVERS": kafka_address, **variables}, cwd=tmp_path
        )
        return done.returncode, done.stdout, done.stderr

    return run_


@pytest.fixture
def name(topic) -> str:
    """A name that no topic has yet."""
    return f"{topic}-new"


async def make(address: str, name: str, partitions: int = 6, **settings: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    configs = {key.replace("_", "."): value for key, value in settings.items()}
    await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
    await admin.close()


async def look(address: str, name: str, definition=EVENTS):
    [facts] = await examine_topics([address], [Topic(name, definition)], None)
    return facts


async def test_a_topic_is_created_as_it_is_defined_and_only_once(run, kafka_address, name):
    missing = run("check", KAFKA_USER_EVENTS_TOPIC=name)
    first = run("create", KAFKA_USER_EVENTS_TOPIC=name)
    again = run("create", KAFKA_USER_EVENTS_TOPIC=name)
    there = run("check", KAFKA_USER_EVENTS_TOPIC=name)
    facts = await look(kafka_address, name)

    both = [name, f"{name}-sessions"]
    assert missing[:2] == (1, "".join(f"{each}: does not exist.\n" for each in both))
    assert first[:2] == (0, "".join(f"{each}: created, 6 partitions, replication factor 1.\n" for each in both))
    assert again[:2] == (0, "".join(f"{each}: exists, 6 partitions, replication factor 1.\n" for each in both))
    assert there[:2] == (0, "".join(f"{each}: as it is defined.\n" for each in both))
    sessions = await look(kafka_address, f"{name}-sessions", SESSIONS)
    assert [*differences(sessions)] == []
    assert sessions.settings["retention.ms"] == "3600000"
    assert [*differences(facts)] == []
    assert (facts.settings["retention.ms"], facts.settings["segment.ms"]) == ("2332800000", "86400000")


async def test_the_state_topic_is_created_where_it_is_named(run, kafka_address, name):
    variables = {"KAFKA_USER_EVENTS_TOPIC": name, "KAFKA_USER_STATE_TOPIC": f"{name}-state"}
    code, said, _ = run("create", **variables)
    facts = await look(kafka_address, f"{name}-state", STATE)

    assert code == 0
    assert f"{name}-state: created" in said
    assert facts.settings["cleanup.policy"] == "compact"
    assert run("check", **variables)[0] == 0


async def test_how_many_partitions_is_an_operators_choice(run, kafka_address, name):
    code, said, _ = run("create", "--partitions", "3", "--replication-factor", "1", KAFKA_USER_EVENTS_TOPIC=name)

    assert (code, said.splitlines()[0]) == (0, f"{name}: created, 3 partitions, replication factor 1.")
    assert run("check", "--partitions", "3", KAFKA_USER_EVENTS_TOPIC=name)[0] == 0
    assert run("check", KAFKA_USER_EVENTS_TOPIC=name)[0] == 1


async def test_partitions_are_added_only_when_asked_for_outright_and_never_taken_away(run, kafka_address, name):
    run("create", KAFKA_USER_EVENTS_TOPIC=name)
    _, told, notes = run("create", "--partitions", "9", KAFKA_USER_EVENTS_TOPIC=name)
    refused, _, asks = run("create", "--partitions", "9", "--add-partitions", KAFKA_USER_EVENTS_TOPIC=name)
    before = await look(kafka_address, name)
    _, added, _ = run("create", "--partitions", "9", "--add-partitions", "--yes", KAFKA_USER_EVENTS_TOPIC=name)
    after = await look(kafka_address, name)
    run("create", "--partitions", "2", "--add-partitions", "--yes", KAFKA_USER_EVENTS_TOPIC=name)
    still = await look(kafka_address, name)

    assert "at least 9" in told
    assert "keys move" in notes
    assert refused == 2
    assert "confirm with --yes. Nothing was done." in asks
    assert "6 partitions become 9; keys move." in added
    assert (before.partitions, after.partitions, still.partitions) == (6, 9, 9)


async def test_the_state_topic_keeps_its_partitions_because_old_states_would_stay_in_them(run, kafka_address, name):
    variables = {"KAFKA_USER_EVENTS_TOPIC": name, "KAFKA_USER_STATE_TOPIC": f"{name}-state"}
    run("create", **variables)

    code, added, notes = run("create", "--partitions", "8", "--add-partitions", "--yes", **variables)

    assert code == 0
    assert f"{name}: 6 partitions become 8; keys move." in added
    assert f"{name}-state keeps its partitions" in notes
    assert (await look(kafka_address, name)).partitions == 8
    assert (await look(kafka_address, f"{name}-state", STATE)).partitions == 6


async def test_what_differs_is_shown_and_left_as_it_is(run, kafka_address, name):
    await make(kafka_address, name, 2, retention_ms="-1", max_message_bytes="1000")
    code, said, notes = run("create", KAFKA_USER_EVENTS_TOPIC=name)
    status, document, _ = run("check", "--json", KAFKA_USER_EVENTS_TOPIC=name)
    facts = await look(kafka_address, name)

    assert code == 0  # nothing is lost by it
    assert "retention.ms" in said
    assert "kafka-configs.sh --alter" in notes
    assert status == 1
    found = json.loads(document)[name]
    assert {difference["what"] for difference in found["differences"]} == {
        "partitions",
        "retention.ms",
        "segment.ms",
        "max.message.bytes",
    }
    assert (facts.partitions, facts.settings["retention.ms"]) == (2, "-1")


async def test_a_compacted_topic_for_events_is_an_error_of_create_too(run, kafka_address, name):
    await make(kafka_address, name, cleanup_policy="compact")
    code, said, _ = run("create", KAFKA_USER_EVENTS_TOPIC=name)

    assert code == 1
    assert "compaction removes events" in said


def test_brokers_that_are_not_there_are_told_with_the_reason(run):
    code, _, said = run("create", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")

    assert code == 69
    assert said.startswith("Kafka: out of reach (127.0.0.1:1: ")
    assert "Traceback" not in said
