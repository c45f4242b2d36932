"""examples/consumers as they stand, the Java one compiled by a JDK, behind a real relay and on a real Kafka."""

import os
import sys
from pathlib import Path

import pytest

from devkit.servers.kafka_jars import kafka_jars
from integration.conftest import create_topic
from support.consumer_story import play

pytestmark = pytest.mark.programs

EXAMPLES = Path(__file__).parents[4] / "examples" / "consumers"
PATH = os.pathsep.join(sys.path)
JARS = ("kafka-clients-", "jackson-databind-", "jackson-core-", "jackson-annotations-", "slf4j-api-", "lz4-java-")


@pytest.fixture(params=["python", "java"])
def command(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "python" / "follow_users.py")]
    jars = os.pathsep.join(str(jar) for jar in kafka_jars() if jar.name.startswith(JARS))
    return ["java", "-Xmx256m", "--class-path", jars, str(EXAMPLES / "java" / "FollowUsers.java")]


async def test_a_consumer_has_all_users_and_tells_each_change_once(
    command, tmp_path, database_url, kafka_address, topic
):
    state = f"{topic}-state"
    await create_topic(kafka_address, state, cleanup_policy="compact")

    await play(command, tmp_path, database_url, kafka_address, (topic, state), PYTHONPATH=PATH)
