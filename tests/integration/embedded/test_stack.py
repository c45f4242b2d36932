import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import asyncpg
import psutil
import pytest

from devkit.servers.errors import EmbeddedStackError
from devkit.servers.stack import embedded_stack

pytestmark = pytest.mark.stacks

HOLDER = """
import json, sys, time
from pathlib import Path
from devkit.servers.stack import embedded_stack

def say(line):
    print(line, flush=True)

with embedded_stack(Path(sys.argv[1]), fresh=False, progress=say) as stack:
    say(json.dumps({"postgres": stack.postgres.pid, "kafka": stack.kafka.pid}))
    time.sleep(120)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a stack on `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def pids_told_by(holder):
    return json.loads(next(line for line in holder.stdout if line.startswith("{")))


async def test_two_stacks_run_side_by_side_an_exception_ends_all_and_a_second_start_is_quick(
    tmp_path, processes_below, capsys
):
    lines = []

    async def both() -> None:
        async with (
            embedded_stack(tmp_path / "a", fresh=True, progress=lines.append) as a,
            embedded_stack(tmp_path / "b", fresh=True, progress=lines.append) as b,
        ):
            assert len({a.postgres.dsn, b.postgres.dsn}) == 2
            assert len({a.kafka.bootstrap_servers, b.kafka.bootstrap_servers}) == 2
            for stack in (a, b):
                connection = await asyncpg.connect(stack.postgres.dsn)
                assert await connection.fetchval("SELECT 1") == 1
                await connection.close()
            1 / 0  # noqa: B018

    with pytest.raises(ZeroDivisionError):
        await both()
    assert processes_below(tmp_path) == []
    assert lines.count("Starting PostgreSQL and Kafka") == 2

    began = time.monotonic()
    async with embedded_stack(tmp_path / "a", fresh=False, progress=lines.append):
        seconds = time.monotonic() - began
    assert processes_below(tmp_path) == []
    with capsys.disabled():
        sys.stdout.write(f" [second start of both: {seconds:.1f} s] ")


def test_when_one_cannot_start_the_other_is_not_left_running(tmp_path, processes_below):
    tmp_path.joinpath("kafka").touch()

    with (
        pytest.raises(EmbeddedStackError, match="Kafka cannot use the folder"),
        embedded_stack(tmp_path, fresh=True, progress=print),
    ):
        pytest.fail("it started")

    assert processes_below(tmp_path) == []


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path, processes_below):
    async def hold():
        async with embedded_stack(tmp_path, fresh=True, progress=lambda _: starting.set()):
            pytest.fail("it was not cancelled")

    starting = asyncio.Event()
    task = asyncio.create_task(hold())
    await asyncio.wait_for(starting.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert processes_below(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)]
)
def test_a_polite_signal_ends_both_before_the_process_itself(holder, tmp_path, processes_below, number, status):
    pids_told_by(holder)

    holder.send_signal(number)

    assert holder.wait(30) == status
    assert processes_below(tmp_path) == []


def test_no_process_is_left_when_the_holder_is_killed_and_the_folder_is_free_again(
    holder, tmp_path, processes_below, eventually
):
    pids_told_by(holder)

    holder.kill()

    # At once: this start waits for the end of the one that is being stopped.
    with embedded_stack(tmp_path, fresh=False, progress=print):
        pass
    assert eventually(lambda: processes_below(tmp_path) == [])


def test_no_process_is_left_when_the_holder_is_killed_while_starting(holder, tmp_path, processes_below, eventually):
    next(line for line in holder.stdout if line.startswith("Starting"))
    assert eventually(lambda: len(processes_below(tmp_path)) >= 2)

    holder.kill()

    assert eventually(lambda: processes_below(tmp_path) == [])


if sys.platform == "linux":  # macOS has nothing that stops a server whose guard was killed

    def test_a_server_follows_its_killed_guard(holder, tmp_path, processes_below, eventually):
        pids = pids_told_by(holder)

        for pid in pids.values():
            psutil.Process(pid).parent().kill()

        assert eventually(lambda: processes_below(tmp_path) == [])
