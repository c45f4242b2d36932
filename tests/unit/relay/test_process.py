"""What the process of a relay says of a bug, and how it ends."""

import json
import os
import subprocess
import sys
from typing import Any

SCRIPT = """
import asyncio
from application.relay import loop
from entrypoints.cli.main import main
from entrypoints.relay.telemetry import RelayTelemetry

async def bug():
    raise ValueError("jane@example.com")

async def fail(*_):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bug())

async def rest(*_):
    await asyncio.sleep(0.5)

loop.Relay.run, RelayTelemetry.watch_backlog = {run}, {watch_backlog}
main(["relay"])
"""


def ended(tmp_path, **parts: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code, and the lines about errors."""
    variables = {
        "DATABASE_URL": "postgresql://auth@127.0.0.1:1/auth",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "LOG_FORMAT": "json",
    }
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(**parts)],
        env={**os.environ, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "jane@example.com" not in process.stderr
    lines = [json.loads(line) for line in process.stderr.splitlines()]
    return process.returncode, [line for line in lines if line["level"] == "error"]


def test_a_bug_ends_the_process_with_a_line_that_names_it_and_quotes_nothing(tmp_path):
    code, [line] = ended(tmp_path, run="fail", watch_backlog="rest")

    assert code == 1
    assert (line["event"], line["error"]) == ("relay_failed", "ValueError")
    assert line["at"][-1].endswith(" bug")


def test_a_bug_beside_the_relay_is_logged_and_ends_nothing(tmp_path):
    code, [line] = ended(tmp_path, run="rest", watch_backlog="fail")

    assert code == 0
    assert (line["event"], line["error"]) == ("background_task_failed", "ValueError")
