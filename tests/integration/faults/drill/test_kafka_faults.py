"""The topic is missing, an ACL denies it, or the brokers do not let us in."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from support import secured_kafka as secured
from support.drill import until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def kafka():
    with secured.secured_kafka() as running:
        yield running


@pytest.fixture
def sasl():
    return {
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": secured.USER,
        "KAFKA_SASL_PASSWORD": secured.PASSWORD,
    }


async def make_topic(address: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(name, 6, 1)])
    await admin.close()


async def named_by_all(service, sql, reason: str, check: str) -> dict[str, str]:
    """Store an event, wait until the relay fails, and look at everything; return doctor's finding."""
    assert await asyncio.to_thread(service.webhook) == 200
    await until(lambda: service.relay_health()[0] == 503)
    # An event counts as waiting for long after a minute.
    await sql.execute("UPDATE outbox SET created_at = created_at - interval '2 minutes'")
    await until(lambda: "events" in service.health()[1])
    status, causes = service.health()
    code, found = service.doctor()

    assert service.relay_health()[1] == {"events": reason}
    assert status == 200  # Kafka is not what requests need
    assert "1 alive, and yet 1 event waits" in causes["events"]
    assert reason in [line.get("cause") for line in service.relay.events("events_waiting")]
    cause = reason.partition(" (")[0]
    assert f'outbox_failures_total{{cause="{cause}"}}' in service.metrics()
    assert "outbox_relay_failing 1.0" in service.metrics()
    assert code == 1
    assert found[check]["severity"] == "failure"
    return found[check]


async def test_a_missing_topic_is_named_everywhere(start, database_url, kafka_address, topic, sql):
    service = start(database_url, kafka_address, "nobody-made-this")
    found = await named_by_all(service, sql, "Kafka: topic missing (nobody-made-this)", "topic")

    assert "nobody-made-this does not exist" in found["says"]
    assert found["advice"].startswith("auth-service topic create")

    await make_topic(kafka_address, "nobody-made-this")
    await until(lambda: service.relay_health()[0] == 200)


async def test_an_acl_that_denies_writing_is_named_everywhere(start, database_url, kafka, sasl, sql):
    await make_topic(kafka.open_address, "denied")
    await secured.set_rights(
        kafka.open_address,
        "denied",
        user=secured.USER,
        allowed=[secured.READ, secured.DESCRIBE, secured.DESCRIBE_CONFIGS],
        denied=[secured.WRITE],
    )
    service = start(database_url, kafka.address, "denied", **sasl)
    reason = "Kafka: not authorized (TopicAuthorizationFailedError)"
    found = await named_by_all(service, sql, reason, "topic rights")

    assert "an ACL denies Write" in found["says"]
    assert "--operation Write --topic denied" in found["advice"]


async def test_an_acl_that_hides_the_topic_is_not_taken_for_a_missing_one(start, database_url, kafka, sasl, sql):
    await make_topic(kafka.open_address, "hidden")
    await secured.set_rights(
        kafka.open_address, "hidden", user="somebody-else", allowed=[secured.READ, secured.WRITE], denied=[]
    )
    service = start(database_url, kafka.address, "hidden", **sasl)
    reason = "Kafka: not authorized (TopicAuthorizationFailedError)"
    found = await named_by_all(service, sql, reason, "topic")

    assert "hidden is hidden: an ACL denies Describe" in found["says"]


async def test_a_refused_password_of_kafka_is_named_everywhere(start, database_url, kafka, sasl, sql):
    service = start(database_url, kafka.address, "denied", **{**sasl, "KAFKA_SASL_PASSWORD": "not-the-password"})
    detail = f"{kafka.address} refuses KAFKA_SASL_USERNAME and password: SaslAuthenticationFailed"
    found = await named_by_all(service, sql, f"Kafka: credentials refused ({detail})", "kafka")

    assert "credentials refused" in found["says"]
    assert "user and password" in found["advice"]


async def test_brokers_that_are_not_there_and_a_protocol_that_they_do_not_speak_are_told_apart(
    start, database_url, kafka, sasl
):
    service = start(database_url, kafka.address, "denied", **sasl)
    _, away = service.doctor(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    _, unknown = service.doctor(KAFKA_BOOTSTRAP_SERVERS="nobody.invalid:9092")
    _, plain = service.doctor(KAFKA_SECURITY_PROTOCOL="PLAINTEXT", **dict.fromkeys([*sasl][1:], ""))

    assert "Kafka: out of reach (127.0.0.1:1: connection refused)" in away["kafka"]["says"]
    assert "Kafka: name not resolved (nobody.invalid:9092)" in unknown["kafka"]["says"]
    assert "is its security protocol PLAINTEXT?" in plain["kafka"]["says"]
