"""`auth-service conformance consumer` and programs that are no consumer: a clear word, in bounded time."""

import sys

import pytest
from sdktest.rows import each_row

from devkit.conformance import consumer as module
from devkit.conformance.consumer import _Consumer, _Stage, _WrongError
from entrypoints.cli.main import main

SHORT_S, LONG_S = 0.5, 60.0
"""For a line that does not come, and for what a program says when it has started."""
CHATTING = "import time\nwhile True: print('still here', flush=True); time.sleep(0.02)"


@pytest.fixture
async def started():
    """Start Python with a program as the consumer; it is killed at the end."""
    consumers = []

    async def start(program: str, wait_s: float = LONG_S) -> _Consumer:
        stage = _Stage(run="1", name="scene", servers="127.0.0.1:1", wait_s=wait_s)
        consumers.append(await _Consumer.start([sys.executable, "-c", program], stage))
        return consumers[-1]

    yield start
    for consumer in consumers:
        await consumer.kill()


@each_row(
    ("program", "said"),
    [
        ("raise SystemExit(3)", "it ended with status 3 where its line `ready: N users` is next"),
        ("import time; time.sleep(60)", "it does not say its line `ready: N users` within 0.5 s"),
        (CHATTING, "it does not say its line `ready: N users` within 0.5 s"),
        ("import os, time; os.close(1); time.sleep(60)", "it closed its output where its line"),
        ("print('ready: 4 users')", "it has 4 users when it is ready, and there are 2"),
    ],
)
async def test_a_consumer_that_does_not_get_ready_is_given_up(program: str, said: str, started):
    wait_s = SHORT_S if "within" in said else LONG_S
    with pytest.raises(_WrongError, match=said):
        await (await started(program, wait_s)).ready(2, frozenset())


async def test_other_lines_of_whatever_length_are_its_own_and_do_not_prolong_the_wait(started):
    consumer = await started(f"print('x' * 200_000); print('ready: 2 users', flush=True)\n{CHATTING}")

    await consumer.ready(2, frozenset())
    consumer._wait_s = SHORT_S
    await consumer.tells_no_more()
    with pytest.raises(_WrongError, match="`deleted user_1 version 2` within"):
        await consumer.tells("deleted user_1 version 2")


async def test_a_consumer_that_ignores_sigterm_is_ended_with_what_it_started(started):
    consumer = await started(
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print('ready: 0 users', flush=True); time.sleep(60)"
    )
    await consumer.ready(0, frozenset())
    await consumer.kill()

    assert await consumer._output.read() == b""  # to the end: nobody holds it open any more


@each_row(
    ("arguments", "said"),
    [
        ([], "Which consumer?"),
        (["--", "no-such-program"], "no-such-program: there is no such program"),
        (["--", "/etc/passwd"], "/etc/passwd: there is no such program, or it may not be run"),
        (["--bootstrap-servers", "a:b:c", "--", "true"], "--bootstrap-servers: "),
        (["--bootstrap-servers", "", "--", "true"], "--bootstrap-servers: "),
        (["--wait", "0", "--", "true"], "--wait"),
        (["--skip", "nonsense", "--", "true"], "--skip"),
    ],
)
def test_what_cannot_be_played_is_wrong_usage_before_anything_starts(
    arguments: list[str], said: str, capsys, monkeypatch
):
    monkeypatch.setattr(module, "start_kafka", lambda _: pytest.fail("it starts a Kafka"))
    with pytest.raises(SystemExit) as stop:
        main(["conformance", "consumer", *arguments])

    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_kafka_that_is_not_there_is_out_of_reach(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["conformance", "consumer", "--bootstrap-servers", "127.0.0.1:1", "--", "true"])

    assert stop.value.code == 69
    assert "Kafka at 127.0.0.1:1: KafkaConnectionError" in capsys.readouterr().err
