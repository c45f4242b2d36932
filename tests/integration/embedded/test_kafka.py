import asyncio
import re
import socket

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from devkit.servers.errors import EmbeddedStackError
from devkit.servers.kafka import classes_file, keep_classes, start_kafka, start_kafka_cluster
from devkit.servers.kafka_jars import kafka_jars, kept_features

pytestmark = pytest.mark.stacks


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """A broker whose data was prepared by Kafka's own tool, as on a machine that has little but the jars."""
    new_machine = tmp_path_factory.mktemp("cache") / "auth-service" / "kafka-jars"
    new_machine.mkdir(parents=True)
    for jar in kafka_jars():
        (new_machine / jar.name).symlink_to(jar)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(new_machine.parents[1]))
        classes_file().write_bytes(b"not written by this Java")
        server = start_kafka(tmp_path_factory.mktemp("kafka with späce"))
        assert kept_features().exists()
    yield server
    server.stop()


def identity(broker):
    """Return what Kafka knows a folder by."""
    lines = (broker.data_dir / "data/meta.properties").read_text(encoding="ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


async def create_topic(servers, topic, copies=1):
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=copies)])
    finally:
        await admin.close()


async def produce(servers, topic, value):
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        await asyncio.wait_for(producer.send_and_wait(topic, value, key=b"user_1"), 30)
    finally:
        await producer.stop()


async def consume(servers, topic, count):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [(await asyncio.wait_for(consumer.getone(), 30)).value for _ in range(count)]
    finally:
        await consumer.stop()


def test_classes_that_java_refuses_are_no_obstacle_and_not_worth_a_word(kafka):
    assert "aot" not in (kafka.data_dir / "server.log").read_text()


async def test_messages_survive_a_restart_and_a_crash_on_the_same_port(kafka):
    await create_topic(kafka.bootstrap_servers, "kept")
    await produce(kafka.bootstrap_servers, "kept", b"1")
    before = kafka.pid

    kafka.restart()
    after_restart = kafka.pid
    await produce(kafka.bootstrap_servers, "kept", b"2")
    kafka.kill()
    assert not psutil.pid_exists(after_restart)
    kafka.start()
    await produce(kafka.bootstrap_servers, "kept", b"3")

    assert await consume(kafka.bootstrap_servers, "kept", 3) == [b"1", b"2", b"3"]
    assert len({before, after_restart, kafka.pid}) == 3


async def test_a_topic_is_never_created_by_asking_for_it(kafka):
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    try:
        await producer.client.add_topic("never-made")
        # The controller takes requests in turn: it has dealt with the first topic when the second exists.
        await create_topic(kafka.bootstrap_servers, "made")
        metadata = await producer.client.fetch_all_metadata()
    finally:
        await producer.stop()

    assert "made" in metadata.topics()
    assert "never-made" not in metadata.topics()


def test_it_listens_on_loopback_alone(kafka):
    listening = [c.laddr.ip for c in psutil.Process(kafka.pid).net_connections() if c.status == psutil.CONN_LISTEN]

    assert len(listening) == 2
    assert {re.sub("^::ffff:", "", ip) for ip in listening} == {"127.0.0.1"}


def test_a_second_broker_on_the_same_folder_is_refused(kafka):
    with pytest.raises(EmbeddedStackError, match=r"already running on .*\nStop that one first"):
        start_kafka(kafka.data_dir)


def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedStackError, match=f"127.0.0.1:{port}: the port is taken.\nStop the program"):
            start_kafka(tmp_path, port=port)


def test_a_broker_that_refuses_its_settings_shows_the_end_of_its_log_and_leaves_nothing(tmp_path, processes_below):
    refused = r"Kafka (could not prepare|ended while starting)(.|\n)*num.network.threads"
    with pytest.raises(EmbeddedStackError, match=refused):
        start_kafka(tmp_path, settings={"num.network.threads": "none"})

    assert processes_below(tmp_path) == []


async def test_a_cluster_of_three_keeps_serving_when_a_broker_dies_and_takes_it_back(kafka, tmp_path, processes_below):
    """Their data is prepared without Kafka's own tool, whose results are kept, and so are the classes they load."""
    assert kept_features().exists()
    keep_classes()
    cluster = start_kafka_cluster(tmp_path, brokers=3)
    try:
        for broker in cluster.brokers:
            assert str(classes_file()) in {loaded.path for loaded in psutil.Process(broker.pid).memory_maps()}
        ours = [identity(broker) for broker in cluster.brokers]
        assert [one.keys() for one in ours] == [identity(kafka).keys()] * 3
        assert [len({one[name] for one in ours}) for name in ("cluster.id", "directory.id", "node.id")] == [1, 3, 3]
        await create_topic(cluster.bootstrap_servers, "replicated", copies=3)
        await produce(cluster.bootstrap_servers, "replicated", b"all three")
        cluster.brokers[1].kill()
        await produce(cluster.bootstrap_servers, "replicated", b"two left")
        cluster.brokers[1].start()
        values = await consume(cluster.brokers[1].bootstrap_servers, "replicated", 2)
    finally:
        cluster.stop()

    assert values == [b"all three", b"two left"]
    assert processes_below(tmp_path) == []
