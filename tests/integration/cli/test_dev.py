"""`auth-service dev` from its start to its end, whatever ends it; test_beside_dev.py has what runs beside it."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from dotenv import dotenv_values

from devkit.servers.ports import free_port
from support.processes import running
from support.second_terminal import HOME, command, dev, events, me, wait_for
from support.web import PUBLISHABLE_KEY, SECRET

pytestmark = pytest.mark.stacks

INSTANCE = {
    "CLERK_SECRET_KEY": "sk_test_of_an_instance",
    "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
    "CLERK_WEBHOOK_SECRET": SECRET,
}
ELSEWHERE = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "u",
    "KAFKA_SASL_PASSWORD": "p",
}
PARTS = {
    "`auth-service serve`": "entrypoints.cli.main serve",
    "`auth-service relay`": "entrypoints.cli.main relay",
    "PostgreSQL": "/postgres -D",
    "Kafka": "kafka.Kafka",
}


def clerk(folder, process):
    """A client of the stand-in that `dev` runs."""
    url = next(line.split()[1] for line in process.text().splitlines() if line.strip().startswith("Clerk"))
    key = (folder / "var/dev/clerk-secret-key").read_text().strip()
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=False)


def test_what_was_done_is_still_there_at_the_next_start_until_a_fresh_one_and_it_ends_when_a_part_of_it_dies(
    tmp_path, gone
):
    port = free_port()
    with dev(tmp_path, port) as first, clerk(tmp_path, first) as http:
        sent = command(tmp_path, "trigger", "user.created", "--user", "user_ada", "--email", "ada@dev.example")
        assert (sent.returncode, sent.stdout) == (0, 'user.created user_ada -> 200 {"outcome":"created"}\n')
        before = me(tmp_path, port, "user_ada")
        assert before.status_code == 200
        assert before.json()["email"] == "ada@dev.example"
        assert [event["sequence"][-1] for event in events(tmp_path, "--limit", "1")] == ["1"]
        kept = http.post("/v1/users", json={"username": "kept"}).json()["id"]
        deleted = http.post("/v1/users", json={"username": "deleted"}).json()["id"]
        http.delete(f"/v1/users/{deleted}")
        assert first.stop(60) == 0
        assert "Stopped. The data stays in var/dev." in first.text()
    assert gone(tmp_path, seconds=5)
    assert (tmp_path / "var/dev/.gitignore").read_text() == "*\n"

    for arguments in (("config",), ("migrate",), ("serve",), ("relay",), ("users", "list"), ("topic", "check")):
        ended = command(tmp_path, *arguments)
        assert ended.returncode == 78, arguments
        assert "missing" in ended.stderr

    with dev(tmp_path, port) as second, clerk(tmp_path, second) as http:
        after = me(tmp_path, port, "user_ada")
        assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])
        changed = command(tmp_path, "trigger", "user.updated", "--user", "user_ada", "--set", "first_name=Augusta")
        assert changed.stdout == 'user.updated user_ada -> 200 {"outcome":"updated"}\n'
        two = events(tmp_path, "--limit", "2", "--user", "user_ada")
        assert [event["type"] for event in two] == ["anomalyze.user.created.v1", "anomalyze.user.updated.v1"]
        assert http.get(f"/v1/users/{kept}").status_code == 200
        assert http.get(f"/v1/users/{deleted}").status_code == 404
        ready = [line for line in second.text().splitlines() if line.startswith("Ready after")]
        sys.stderr.write(f" [second start: {ready[0]}] ")

        assert command(tmp_path, "dev", "--port", str(free_port())).stderr.startswith(
            "auth-service dev is already running on var/dev"
        )
        taken = command(tmp_path, "dev", "--data-dir", "elsewhere", "--port", str(port))
        assert f"cannot listen on 127.0.0.1:{port}: the port is taken" in taken.stderr
        assert taken.returncode == 1
        ends_when_it_dies(second, "`auth-service relay`")
    assert gone(tmp_path, seconds=5)

    refused = command(tmp_path, "dev", "--fresh")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Delete the users and events in var/dev? There is no terminal to ask on")
    with dev(tmp_path, port, "--fresh", "--yes") as third:
        assert me(tmp_path, port, "user_ada").status_code == 404
        ends_when_it_dies(third, "`auth-service serve`")
    assert gone(tmp_path)


def test_two_that_start_at_once_and_want_the_same_ports_both_get_ready_and_end_when_a_server_dies(tmp_path, gone):
    wanted = {"CLERK_API_URL": "http", "DATABASE_URL": "postgresql", "KAFKA_BOOTSTRAP_SERVERS": "x"}
    lines = "".join(f"{name}={scheme}://127.0.0.1:{free_port()}\n" for name, scheme in wanted.items())
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        (folder / "var/dev").mkdir(parents=True)
        (folder / "var/dev/dev.env").write_text(lines)  # as an earlier start left it: the ports that are wanted again

    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(running(folder, "dev", f"--port={free_port()}", HOME=HOME)) for folder in folders
        ]
        for process in started:
            wait_for(process, "Ctrl-C stops everything", within=300)
        settings = [dotenv_values(folder / "var/dev/dev.env") for folder in folders]
        for name in wanted:
            assert len({each[name] for each in settings}) == 2
        for process, part in zip(started, ("PostgreSQL", "Kafka"), strict=True):
            ends_when_it_dies(process, part)
    assert gone(tmp_path)


def test_when_the_reader_of_its_output_leaves_it_ends_quietly(tmp_path, gone):
    reading, writing = os.pipe()
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("auth-service"), "dev", f"--port={free_port()}"],
            env={"PATH": os.environ["PATH"], "HOME": HOME},
            cwd=tmp_path,
            stdout=writing,
            stderr=errors,
        )
    os.close(writing)
    with os.fdopen(reading) as lines:
        for line in lines:
            if "Ctrl-C stops everything" in line:
                break
    try:
        assert httpx.get(f"http://127.0.0.1:{process.args[-1].partition('=')[2]}/", trust_env=False).status_code == 200
        assert process.wait(60) == 141
    finally:
        process.kill()
    assert gone(tmp_path)
    assert (tmp_path / "errors").read_text() == ""


def test_on_a_clerk_instance_nothing_is_made_up_and_a_killed_dev_leaves_no_process_and_the_next_starts_at_once(
    tmp_path, gone
):
    """Settings for other servers do not matter."""
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in (INSTANCE | ELSEWHERE).items()))
    with dev(tmp_path, free_port()) as killed:
        assert command(tmp_path, "trigger", "user.created").returncode == 0
        assert "Ready after" in killed.text()
        assert "events_waiting" not in killed.text()
        assert "clerk-stand-in" not in killed.text()
        assert "CLERK" not in (tmp_path / "var/dev/dev.env").read_text()
        os.kill(killed.popen.pid, signal.SIGKILL)
        assert killed.popen.wait(60) == -signal.SIGKILL

        # At once, while the processes of the killed one are still being stopped.
        with dev(tmp_path, free_port()) as interrupted:
            os.kill(interrupted.popen.pid, signal.SIGINT)
            assert interrupted.popen.wait(60) == 0
    assert gone(tmp_path)


def ends_when_it_dies(process, part):
    """Kill a part of `dev`, which then ends and shows the end of the part's log."""
    for child in psutil.Process(process.popen.pid).children(recursive=True):
        line = " ".join(child.cmdline())
        if PARTS[part] in line and "guard" not in line:
            child.kill()
            break
    status = process.popen.wait(60)

    assert status == 1
    assert f"{part} ended (exit status 137)" in process.text()
    assert "The end of " in process.text()


def test_a_wrong_variable_of_a_clerk_instance_is_named_before_anything_starts(tmp_path):
    (tmp_path / ".env").write_text("CLERK_PUBLISHABLE_KEY=pk_nonsense\n")

    ended = command(tmp_path, "dev")

    assert ended.returncode == 78
    assert "CLERK_PUBLISHABLE_KEY: it does not start with pk_test_ or pk_live_" in ended.stderr
    assert "Starting" not in ended.stdout


@pytest.mark.parametrize("line", ["CLERK_SECRET_KEY=sk_live_of_an_instance", f"CLERK_WEBHOOK_SECRET={SECRET}"])
def test_part_of_a_clerk_instance_is_not_completed_with_made_up_keys(tmp_path, line):
    (tmp_path / ".env").write_text(f"{line}\n")

    ended = command(tmp_path, "dev")

    assert ended.returncode == 78
    assert "CLERK_PUBLISHABLE_KEY: missing" in ended.stderr
    assert f"beside a Clerk instance, which {line.partition('=')[0]} names" in ended.stderr
    assert "Starting" not in ended.stdout
