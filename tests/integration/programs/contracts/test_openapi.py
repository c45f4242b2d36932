"""What other people's tools read in docs/openapi.json, and whether a running service keeps to it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.config.service_keys import new_service_key
from support.http_process import start, wait_until_it_answers
from support.npm import node_tool
from support.web import token

pytestmark = pytest.mark.programs

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[3] / "docs/openapi.json"
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
KEY, CONFIGURED = new_service_key("billing")


def test_redocly_finds_nothing_to_say_about_the_document():
    linted = subprocess.run(
        [node_tool("redocly"), "lint", "--format=json", DOCUMENT], capture_output=True, text=True, check=False
    )

    totals = json.loads(linted.stdout)["totals"]
    assert (totals["errors"], totals["warnings"]) == (0, 0), linted.stdout


@pytest.fixture
def served(clerk_stand_in, database_url):
    running = start(
        "--workers=1", DATABASE_URL=database_url, AUTH_SERVICE_KEYS=str(CONFIGURED), **clerk_stand_in.environment
    )
    wait_until_it_answers(running)
    clerk_stand_in.send_webhooks_to(f"{running.url}/webhooks/clerk")
    clerk_stand_in.instance.create("user_ada", email_address=["ada@example.org"])
    clerk_stand_in.wait_for_webhooks()
    yield running
    running.stop()


@pytest.mark.parametrize("caller", ["user_ada", "billing"])
def test_generated_requests_get_documented_answers(served, tmp_path, caller):
    """A service's key opens `/v1/users` alone, so that the other paths would be asked the same twice."""
    credentials = {"user_ada": token("user_ada", exp=4_000_000_000), "billing": KEY}[caller]
    only = {"user_ada": [], "billing": ["--include-path-regex=^/v1/users"]}[caller]
    command = [
        *(SCHEMATHESIS, "--config-file", HERE / "schemathesis.toml", "run", f"{served.url}/schema/openapi.json", *only),
        *("--header", f"Authorization: Bearer {credentials}", "--seed=1", "--max-examples=30", "--no-color"),
    ]
    tested = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    assert tested.returncode == 0, tested.stdout + tested.stderr
