"""examples/consumers as they stand, compiled where that is needed, behind a real relay and on a real Kafka."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devkit.servers.kafka_jars import kafka_jars
from integration.conftest import create_topic
from support.consumer_story import play

pytestmark = pytest.mark.programs

EXAMPLES = Path(__file__).parents[4] / "examples" / "consumers"
PATH = os.pathsep.join(sys.path)
AUTH_SERVICE = str(Path(sys.executable).with_name("auth-service"))
JARS = ("kafka-clients-", "jackson-databind-", "jackson-core-", "jackson-annotations-", "slf4j-api-", "lz4-java-")


@pytest.fixture(params=["python", "java", "typescript"])
def command(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "typescript":
        return ["node", str(request.getfixturevalue("project").folder / "follow-users.js")]
    if request.param == "python":
        return [sys.executable, str(EXAMPLES / "python" / "follow_users.py")]
    jars = os.pathsep.join(str(jar) for jar in kafka_jars() if jar.name.startswith(JARS))
    return ["java", "-Xmx256m", "--class-path", jars, str(EXAMPLES / "java" / "FollowUsers.java")]


def compiled(command: list[str], folder: Path) -> list[str]:
    """Return a faster way to start the same program again and again: `java` with a source compiles it each time."""
    if command[0] != "java":
        return command
    (*options, jars, source) = command
    subprocess.run(["javac", "-d", folder, "--class-path", jars, source], check=True)
    quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    return [*options[:-1], *quick, options[-1], f"{folder}{os.pathsep}{jars}", Path(source).stem]


async def test_a_consumer_has_all_users_and_tells_each_change_once(
    command, tmp_path, database_url, kafka_address, topic
):
    state = f"{topic}-state"
    await create_topic(kafka_address, state, cleanup_policy="compact")

    await play(command, tmp_path, database_url, kafka_address, (topic, state), PYTHONPATH=PATH)


def test_a_consumer_passes_every_scene(command, kafka_address, tmp_path):
    command = compiled(command, tmp_path)
    skipped = [] if command[0] == "node" else ["--skip", "revocation"]  # the others follow no sessions
    done = subprocess.run(
        [AUTH_SERVICE, "conformance", "consumer", "--bootstrap-servers", kafka_address, *skipped, "--", *command],
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert len(re.findall("^ok ", done.stdout, re.MULTILINE)) == 6 - len(skipped) // 2


def test_faults_planted_in_a_consumer_are_named_and_nothing_else(kafka_address, tmp_path):
    text = (EXAMPLES / "python" / "follow_users.py").read_text()
    faulty = tmp_path / "faulty.py"
    # It counts every version as news, stops at a type it does not know, and counts the deleted as living.
    text = text.replace('print(f"skipped {event.type}", flush=True)', "raise SystemExit(1)")
    text = text.replace("elif users.apply(event):", "elif users.apply(event) or True:")
    text = text.replace("{len(users)} users", "{len(users) + (len(users._versions) > len(users))} users")
    faulty.write_text(text)
    done = subprocess.run(
        [
            *(AUTH_SERVICE, "conformance", "consumer", "--bootstrap-servers", kafka_address, "--json"),
            *("--skip", "revocation", "--skip", "state", "--", sys.executable, str(faulty)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 1
    assert set(json.loads(done.stdout)["wrong"]) == {"duplicates", "unknown types", "deletion"}
