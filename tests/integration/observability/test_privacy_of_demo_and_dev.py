"""What the services write while `demo` and `dev` run.

The screen of `demo` is not searched: it shows rows and events of invented users, which is what it is for. Nor is what
`dev` says itself: it names the keys that it has made up. What is searched is every line of the serve and the relay that
they run.
"""

import os
import subprocess
import sys
import time

import httpx

from support.http_process import free_port
from support.processes import running

INVENTED = ("ada@example.org", "ada@lovelace.example", "Lovelace", "Augusta", "+15555550100", "Ada")
CANARIES = {"first_name": "Canarygiven", "last_name": "Canarysurname", "username": "canaryhandle"}

# The demo throws away what its services write; this keeps it.
DEMO = """
import sys
from functools import partial
from entrypoints.demo import stage
from entrypoints.local.process import ServiceProcess
log = open(sys.argv.pop(), "w", buffering=1)
stage.ServiceProcess = partial(ServiceProcess, on_line=lambda line: log.write(line + "\\n"))
from entrypoints.cli.main import main
main(["demo"])
"""


def environment(folder):
    python_path = os.pathsep.join(sys.path)
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", str(folder)), "PYTHONPATH": python_path}


def test_the_services_write_nothing_of_the_users_that_a_demo_plays(tmp_path):
    log = tmp_path / "services.log"
    demo = subprocess.run(
        [sys.executable, "-c", DEMO, str(log)],
        env={**environment(tmp_path), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    written = log.read_text()

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert [text for text in INVENTED if text not in demo.stdout] == []  # the screen's affair, and the canaries'
    for telling in ('"outcome":"created"', '"outcome":"deleted"', "webhook-not-genuine", "lanes held"):
        assert telling in written
    assert [text for text in INVENTED if text in written] == []


def test_the_services_of_dev_write_nothing_of_a_user_who_is_triggered(tmp_path):
    port = free_port()
    changes = [word for name, value in CANARIES.items() for word in ("--set", f"{name}={value}")]
    trigger = [sys.executable, "-m", "entrypoints.cli.main", "trigger", "user.created", "--user", "user_canary"]
    home = environment(tmp_path)["HOME"]
    with running(tmp_path, "dev", "--port", str(port), HOME=home, LOG_LEVEL="debug", LOG_FORMAT="console") as dev:
        deadline = time.monotonic() + 90
        while "Ctrl-C stops everything" not in dev.text():
            assert dev.alive, dev.text()
            assert time.monotonic() < deadline, dev.text()
            time.sleep(0.05)
        sent = subprocess.run(
            [*trigger, "--email", "canary@personal.example", *changes],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        forged = httpx.post(f"http://127.0.0.1:{port}/webhooks/clerk", content=b"canary-body", trust_env=False)
        time.sleep(1)  # until what was caused is written
        dev.stop(60)
    lines = [line for line in dev.text().splitlines() if line.startswith(("serve |", "relay |"))]
    written = "\n".join(lines)

    assert '200 {"outcome":"created"}' in sent.stdout
    assert forged.status_code == 400
    assert "/webhooks/clerk" in written
    assert any(line.startswith("relay |") for line in lines)
    assert [text for text in (*CANARIES.values(), "canary@personal.example", "canary-body") if text in written] == []
