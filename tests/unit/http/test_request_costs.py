"""How many Python functions a request calls, compared with what was committed last: most of its CPU time follows it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BASELINE = Path(__file__).parents[2] / "fixtures" / "request_costs.json"
COUNTED_ON = (3, 11)
TOLERANCE = 0.02
"""A cached second or a log line that is written meanwhile is a call or two."""

"""The standard library of another Python calls a few more or fewer functions of its own."""
ELSEWHERE = 1.1


def test_no_request_calls_more_or_fewer_functions_than_it_did():
    done = subprocess.run(
        [sys.executable, "-m", "support.request_costs"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    costs = json.loads(done.stdout)
    if os.environ.get("RENEW_COSTS") and sys.version_info[:2] == COUNTED_ON:
        BASELINE.write_text(json.dumps(costs, indent=2) + "\n")
    baseline = json.loads(BASELINE.read_text())

    if sys.version_info[:2] == COUNTED_ON:
        assert costs == pytest.approx(baseline, rel=TOLERANCE), "`make baseline` writes them down, if they are meant"
    assert [*costs] == [*baseline]
    assert all(value <= baseline[route] * ELSEWHERE for route, value in costs.items())
