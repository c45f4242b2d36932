"""How the process of a relay ends when something in it fails that should not."""

import json
import os
import subprocess
import sys

BUG = """
from application.relay import loop
from entrypoints.cli.main import main

async def run(self):
    raise ExceptionGroup("two carriers", [ValueError("jane@example.com")])

loop.Relay.run = run
main(["relay"])
"""


def test_a_bug_ends_the_process_with_a_line_that_names_it_and_quotes_nothing(tmp_path):
    variables = {
        "DATABASE_URL": "postgresql://auth@127.0.0.1:1/auth",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "LOG_FORMAT": "json",
    }
    ended = subprocess.run(
        [sys.executable, "-c", BUG],
        env={**os.environ, **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    [line] = [json.loads(line) for line in ended.stderr.splitlines() if "relay failed" in line]
    assert (line["level"], line["error"]) == ("error", "ValueError")
    assert ended.returncode == 1
    assert "jane@example.com" not in ended.stderr
    assert "Traceback" not in ended.stderr
