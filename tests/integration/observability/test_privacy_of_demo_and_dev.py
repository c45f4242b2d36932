"""What the services write while `demo` and `dev` run.

The screen of `demo` shows rows and events of invented users, which is what it is for, so it is searched for tokens and
secrets alone. What `dev` says itself is not searched: it names the keys that it has made up. Every line of the serve
and the relay that they run is, and so are the metrics and the servers' logs of the demo.
"""

import json
import os
import re
import subprocess
import sys
import time

import httpx
import pytest

from devkit.servers.ports import free_port
from support.leaks import leaks, secrets_of
from support.second_terminal import command, dev

pytestmark = pytest.mark.stacks

INVENTED = ("ada@example.org", "ada@lovelace.example", "Lovelace", "Augusta", "+15555550100", "Ada")
CANARIES = {"first_name": "Canarygiven", "last_name": "Canarysurname", "username": "canaryhandle"}


def environment(folder):
    python_path = os.pathsep.join(sys.path)
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(folder)), "PYTHONPATH": python_path}


def test_a_demo_writes_nothing_of_its_users_and_no_token_or_secret(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    demo = subprocess.run(
        [sys.executable, "-m", "support.kept_demo", str(kept)],
        env={**environment(tmp_path), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    written = {name: (kept / name).read_text() for name in ("services", "metrics", "postgres", "kafka")}
    secrets = {
        **{secret: name for name, secret in secrets_of(json.loads((kept / "environment").read_text()))},
        **dict.fromkeys(re.findall(r"[^.]+$", (kept / "tokens").read_text(), re.MULTILINE), "a session token"),
        **dict.fromkeys((kept / "private-key").read_text().splitlines()[1:-1], "the private key"),
    }
    screen = demo.stdout + demo.stderr

    # There was something to give away, and each stream tells of what happened.
    assert [text for text in INVENTED if text not in screen] == []
    assert {"DATABASE_URL", "CLERK_WEBHOOK_SECRET", "a session token", "the private key"} == set(secrets.values())
    for stream, telling in {
        "services": ('"outcome":"created"', '"outcome":"deleted"', "webhook-not-genuine", "lanes_held"),
        "metrics": ('auth_webhooks_total{outcome="created"} 1.0',),
        "postgres": ("ready to accept connections",),
        "kafka": ("Kafka Server started",),
    }.items():
        assert [text for text in telling if text not in written[stream]] == [], stream
    assert {stream: found for stream, text in written.items() if (found := leaks(text, secrets))} == {}
    assert [name for secret, name in secrets.items() if secret in screen] == []


def test_the_services_of_dev_write_nothing_of_a_user_who_is_triggered(tmp_path):
    port = free_port()
    changes = [word for name, value in CANARIES.items() for word in ("--set", f"{name}={value}")]
    with dev(tmp_path, port, LOG_LEVEL="debug", LOG_FORMAT="console") as running:
        trigger = ("trigger", "user.created", "--user", "user_canary", "--email", "canary@personal.example")
        sent = command(tmp_path, *trigger, *changes)
        forged = httpx.post(f"http://127.0.0.1:{port}/webhooks/clerk", content=b"canary-body", trust_env=False)
        time.sleep(1)  # until what was caused is written
    lines = [line for line in running.text().splitlines() if line.startswith(("serve |", "relay |"))]
    written = "\n".join(lines)

    assert '200 {"outcome":"created"}' in sent.stdout
    assert forged.status_code == 400
    assert "/webhooks/clerk" in written
    assert any(line.startswith("relay |") for line in lines)
    assert [text for text in (*CANARIES.values(), "canary@personal.example", "canary-body") if text in written] == []
