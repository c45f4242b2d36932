import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import jwt
import psutil
import pytest
from dotenv import dotenv_values

from devkit.servers.ports import free_port
from support.processes import running
from support.web import PUBLISHABLE_KEY, SECRET


def environment():
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


def command(folder, *arguments):
    """Run a command in a second terminal."""
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli.main", *arguments],
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextlib.contextmanager
def dev(folder, port, *arguments, **variables):
    """Run `dev` until it is ready; whatever happens, ask it to stop."""
    with running(folder, "dev", "--port", str(port), *arguments, HOME=environment()["HOME"], **variables) as process:
        try:
            wait_for(process, "Ctrl-C stops everything")
            yield process
        finally:
            if process.alive:
                process.stop(60)


def wait_for(process, text, within=60):
    deadline = time.monotonic() + within
    while text not in process.text():
        assert process.alive, process.text()
        assert time.monotonic() < deadline, process.text()
        time.sleep(0.02)


def me(folder, port, user):
    minted = command(folder, "token", "--user", user)
    assert minted.returncode == 0, minted.stderr
    token = minted.stdout.strip()
    return httpx.get(
        f"http://127.0.0.1:{port}/v1/me", headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=10
    )


def managing(folder, port, organization):
    """The status of a look at a user by a person of this organization, with the permission."""
    minted = command(folder, "token", "--user=user_ada", f"--org={organization}", "--permission=org:users:manage")
    headers = {"authorization": f"Bearer {minted.stdout.strip()}"}
    return httpx.get(f"http://127.0.0.1:{port}/v1/users/user_ada", headers=headers, trust_env=False).status_code


def events(folder, *arguments):
    shown = command(folder, "events", "tail", "--json", "--from-beginning", *arguments)
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    return [json.loads(line) for line in shown.stdout.splitlines()]


def test_what_was_done_is_still_there_at_the_second_start_and_nothing_runs_in_between(tmp_path, gone):
    port = free_port()
    with dev(tmp_path, port) as first:
        sent = command(tmp_path, "trigger", "user.created", "--user", "user_ada", "--email", "ada@dev.example")
        assert (sent.returncode, sent.stdout) == (0, 'user.created user_ada -> 200 {"outcome":"created"}\n')
        before = me(tmp_path, port, "user_ada")
        assert before.status_code == 200
        assert before.json()["email"] == "ada@dev.example"
        assert [event["sequence"][-1] for event in events(tmp_path, "--limit", "1")] == ["1"]
        assert [managing(tmp_path, port, organization) for organization in ("org_dev", "org_other")] == [200, 403]
        assert first.stop(60) == 0
        assert "Stopped. The data stays in var/dev." in first.text()
    assert gone(tmp_path, seconds=5)
    assert (tmp_path / "var/dev/.gitignore").read_text() == "*\n"

    with dev(tmp_path, port) as second:
        after = me(tmp_path, port, "user_ada")
        assert (after.json(), after.headers["etag"]) == (before.json(), before.headers["etag"])
        changed = command(tmp_path, "trigger", "user.updated", "--user", "user_ada", "--set", "first_name=Augusta")
        assert changed.stdout == 'user.updated user_ada -> 200 {"outcome":"updated"}\n'
        two = events(tmp_path, "--limit", "2", "--user", "user_ada")
        assert [event["type"] for event in two] == ["anomalyze.user.created.v1", "anomalyze.user.updated.v1"]
        ready = [line for line in second.text().splitlines() if line.startswith("Ready after")]
        sys.stderr.write(f" [second start: {ready[0]}] ")

        assert command(tmp_path, "dev", "--port", str(free_port())).stderr.startswith(
            "auth-service dev is already running on var/dev"
        )
        taken = command(tmp_path, "dev", "--data-dir", "elsewhere", "--port", str(port))
        assert f"cannot listen on 127.0.0.1:{port}: the port is taken" in taken.stderr
        assert taken.returncode == 1
    assert gone(tmp_path, seconds=5)

    refused = command(tmp_path, "dev", "--fresh")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Delete the users and events in var/dev? There is no terminal to ask on")
    with dev(tmp_path, port, "--fresh", "--yes"):
        assert me(tmp_path, port, "user_ada").status_code == 404


def test_ctrl_c_ends_a_tail_quietly_and_it_shows_what_comes_after_its_start(tmp_path):
    port = free_port()
    with dev(tmp_path, port):
        command(tmp_path, "trigger", "user.created", "--user", "user_before")
        events(tmp_path, "--limit", "1")
        output = tmp_path / "tail.txt"
        with output.open("wb") as file:
            tail = subprocess.Popen(
                [sys.executable, "-m", "entrypoints.cli.main", "events", "tail"],
                env=environment(),
                cwd=tmp_path,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            # Nothing says when it stands at the end, so events are made until one is seen.
            for number in range(60):
                command(tmp_path, "trigger", "user.created", "--user", f"user_after{number}")
                if "user_after" in output.read_text():
                    break
            tail.send_signal(signal.SIGINT)
            status = tail.wait(20)
        finally:
            tail.kill()

        header, *lines = output.read_text().splitlines()
        assert status == 130
        assert header.split("\t") == ["time", "event", "user", "version", "changed"]
        assert all(line.split("\t")[1:4:2] == ["created", "v1"] for line in lines)
        assert "user_before" not in output.read_text()
        assert len(lines) >= 1


def test_every_command_beside_dev_reads_what_it_shares_and_none_does_when_it_has_ended(tmp_path):
    port, another = free_port(), free_port()
    file = "auth-service dev (var/dev/dev.env)"
    with dev(tmp_path, port):
        for name in ("serve", "relay", "migrate", "users", "outbox", "events", "reconcile", "trigger", "token"):
            shown = command(tmp_path, "config", name)
            assert shown.returncode == 0, shown.stderr
            assert f"\t{file}\t" in shown.stdout
        shown = json.loads(command(tmp_path, "config", "--json").stdout)
        sources = {variable["name"]: variable["source"] for variable in shown["variables"]}
        assert (sources["DATABASE_URL"], sources["CLERK_WEBHOOK_SECRET"], sources["PORT"]) == (file, file, file)
        assert (sources["LOG_LEVEL"], shown["problems"]) == ("default", [])

        migrated = command(tmp_path, "migrate")
        assert (migrated.returncode, migrated.stdout.endswith(" already.\n")) == (0, True), migrated.stderr
        checked = command(tmp_path, "topic", "check")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        with running(tmp_path, "serve", "--port", str(another)) as serve, running(tmp_path, "relay") as relay:
            said = serve.wait_for("uses settings of the running dev")
            assert "DATABASE_URL" in said[0]["variables"]
            wait_until_healthy(another, serve)
            relay.wait_for("lanes held")
            assert relay.stop() == 0
        taken = command(tmp_path, "serve")
        assert f"Cannot listen on HOST 127.0.0.1, PORT {port}" in taken.stderr + taken.stdout
        own = command(tmp_path, "trigger", "user.created", "--url", f"http://127.0.0.1:{port}")
        assert own.returncode == 0, own.stdout

    for arguments in (("config",), ("migrate",), ("serve",), ("relay",), ("users", "list"), ("topic", "check")):
        ended = command(tmp_path, *arguments)
        assert ended.returncode == 78, arguments
        assert "missing" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_however_dev_ends_no_process_is_left_and_the_next_one_starts(tmp_path, gone, number):
    port = free_port()
    with dev(tmp_path, port) as process:
        os.kill(process.popen.pid, number)
        status = process.popen.wait(60)

        # At once, while the processes of the killed one are still being stopped.
        with dev(tmp_path, free_port()):
            pass

    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert gone(tmp_path)


PARTS = {
    "`auth-service relay`": "entrypoints.cli.main relay",
    "`auth-service serve`": "entrypoints.cli.main serve",
    "PostgreSQL": "/postgres -D",
    "Kafka": "kafka.Kafka",
}


@pytest.mark.parametrize("part", PARTS)
def test_dev_ends_with_the_log_when_a_part_of_it_dies(tmp_path, gone, part):
    with dev(tmp_path, free_port()) as process:
        for child in psutil.Process(process.popen.pid).children(recursive=True):
            command = " ".join(child.cmdline())
            if PARTS[part] in command and "guard" not in command:
                child.kill()
                break
        status = process.popen.wait(60)

    assert status == 1
    assert f"{part} ended (exit status 137)" in process.text()
    assert "The end of " in process.text()
    assert gone(tmp_path)


def test_a_wrong_variable_of_a_clerk_instance_is_named_before_anything_starts(tmp_path):
    (tmp_path / ".env").write_text("CLERK_PUBLISHABLE_KEY=pk_nonsense\n")

    ended = command(tmp_path, "dev")

    assert ended.returncode == 78
    assert "CLERK_PUBLISHABLE_KEY: it does not start with pk_test_ or pk_live_" in ended.stderr
    assert "Starting" not in ended.stdout


def test_settings_for_other_servers_in_dot_env_do_not_reach_the_embedded_ones(tmp_path):
    (tmp_path / ".env").write_text(
        "DATABASE_URL=postgresql://nobody@127.0.0.1:1/x\nKAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1\n"
        "KAFKA_SECURITY_PROTOCOL=SASL_SSL\nKAFKA_SASL_MECHANISM=PLAIN\nKAFKA_SASL_USERNAME=u\nKAFKA_SASL_PASSWORD=p\n"
    )
    with dev(tmp_path, free_port()) as process:
        assert command(tmp_path, "trigger", "user.created").returncode == 0
        assert "Ready after" in process.text()
        assert "events wait" not in process.text()
    assert Path(tmp_path / "var/dev/dev.env").exists()


def test_the_example_page_is_on_an_origin_of_its_own_and_gets_a_token_that_the_service_takes(tmp_path):
    (tmp_path / ".env").write_text("CLERK_AUTHORIZED_PARTIES=http://localhost:5173\n")
    port = free_port()
    with dev(tmp_path, port) as process:
        origin = next(line.split()[1] for line in process.text().splitlines() if line.strip().startswith("Frontend"))
        page = origin.replace("localhost", "127.0.0.1")
        assert httpx.get(page).status_code == 200
        assert httpx.get(f"{page}/config.json").json() == {"api": f"http://127.0.0.1:{port}", "mints_tokens": True}
        command(tmp_path, "trigger", "user.created", "--user", "user_ada")
        token = httpx.get(f"{page}/token?user=user_ada").text
        headers = {"authorization": f"Bearer {token}", "origin": origin}
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/me", headers=headers)

        assert (answer.status_code, answer.json()["id"]) == (200, "user_ada")
        assert answer.headers["access-control-allow-origin"] == origin
        assert httpx.get(f"{page}/token?user=nobody").status_code == 400
        assert me(tmp_path, port, "user_ada").status_code == 200  # a token of the command, for the configured party


def test_without_an_account_a_user_who_signs_up_at_the_stand_in_is_known_banned_and_deleted(tmp_path):
    port = free_port()
    with dev(tmp_path, port) as process:
        clerk = next(line.split()[1] for line in process.text().splitlines() if line.strip().startswith("Clerk"))
        key = (tmp_path / "var/dev/clerk-secret-key").read_text().strip()
        with httpx.Client(base_url=clerk, headers={"authorization": f"Bearer {key}"}, trust_env=False) as http:
            user = http.post("/v1/users", json={"email_address": ["grace@dev.example"]}).json()["id"]
            known = me_until(tmp_path, port, user, 200)
            assert (known.json()["email"], known.json()["version"]) == ("grace@dev.example", 1)

            session = http.post("/v1/sessions", json={"user_id": user}).json()["id"]
            minted = http.post(f"/v1/sessions/{session}/tokens", json={}).json()["jwt"]
            headers = {"authorization": f"Bearer {minted}"}
            signed_in = httpx.get(f"http://127.0.0.1:{port}/v1/me", headers=headers, trust_env=False)
            assert (signed_in.status_code, signed_in.json()["id"]) == (200, user)

            http.post(f"/v1/users/{user}/ban")
            me_until(tmp_path, port, user, 403)
            http.delete(f"/v1/users/{user}")
            me_until(tmp_path, port, user, 401)
            types = [event["type"].split(".")[2] for event in events(tmp_path, "--limit", "3", "--user", user)]
            assert types == ["created", "updated", "deleted"]

            kept = http.post("/v1/users", json={"username": "kept"}).json()["id"]
        assert process.stop(60) == 0

    headers = {"authorization": f"Bearer {key}"}
    with dev(tmp_path, port), httpx.Client(base_url=clerk, headers=headers, trust_env=False) as http:
        assert http.get(f"/v1/users/{kept}").status_code == 200
        assert http.get(f"/v1/users/{user}").status_code == 404


def test_with_keys_of_a_clerk_instance_there_is_no_stand_in_and_nothing_is_made_up(tmp_path):
    named = {
        "CLERK_SECRET_KEY": "sk_test_of_an_instance",
        "CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "CLERK_WEBHOOK_SECRET": SECRET,
    }
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in named.items()))
    with dev(tmp_path, free_port()) as process:
        assert "clerk-stand-in" not in process.text()
        settings = (tmp_path / "var/dev/dev.env").read_text()

    assert "CLERK" not in settings


@pytest.mark.parametrize("line", ["CLERK_SECRET_KEY=sk_live_of_an_instance", f"CLERK_WEBHOOK_SECRET={SECRET}"])
def test_part_of_a_clerk_instance_is_not_completed_with_made_up_keys(tmp_path, line):
    (tmp_path / ".env").write_text(f"{line}\n")

    ended = command(tmp_path, "dev")

    assert ended.returncode == 78
    assert "CLERK_PUBLISHABLE_KEY: missing" in ended.stderr
    assert f"beside a Clerk instance, which {line.partition('=')[0]} names" in ended.stderr
    assert "Starting" not in ended.stdout


def test_a_service_with_the_sdks_example_takes_the_tokens_of_dev_by_its_key_set_and_by_its_key(tmp_path):
    port = free_port()
    readme = (Path(__file__).parents[3] / "sdk" / "README.md").read_text()
    examples = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", readme, re.DOTALL))
    with dev(tmp_path, port):
        values = dotenv_values(tmp_path / "var/dev/dev.env", interpolate=False)
        command(tmp_path, "trigger", "user.created", "--user", "user_ada")
        token = command(tmp_path, "token", "--user", "user_ada").stdout.strip()
        issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
        assert issuer == values["CLERK_ISSUER"] == values["CLERK_API_URL"]
        answers = {name: example_answers(tmp_path, examples[name], values, token) for name in ("fastapi", "starlette")}

        assert answers == {name: [(401, None), (200, {"user_id": "user_ada"})] for name in ("fastapi", "starlette")}


def example_answers(folder, source, values, token):
    """Run an example of the SDK's README as a service of its own, with what `dev` wrote and nothing else."""
    (folder / "example.py").write_text(source)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "example:app", f"--port={port}", "--log-level=warning"],
        env={**environment(), **values},
        cwd=folder,
    )
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 30
        with httpx.Client(trust_env=False, timeout=20) as http:
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    http.get(f"{url}/health")
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)
            without = http.get(f"{url}/hello")
            answer = http.get(f"{url}/hello", headers={"authorization": f"Bearer {token}"})
        return [(without.status_code, None), (answer.status_code, answer.json())]
    finally:
        process.terminate()
        process.wait(20)


def test_users_who_are_triggered_are_users_of_clerk_too(tmp_path):
    port = free_port()
    with dev(tmp_path, port):
        for user in ("user_1", "user_2", "user_3"):
            assert command(tmp_path, "trigger", "user.created", "--user", user).returncode == 0
        command(tmp_path, "trigger", "user.deleted", "--user", "user_3")
        banned = command(tmp_path, "users", "ban", "user_1", "--yes")
        assert (banned.returncode, banned.stdout.split(" (")[0]) == (0, "user_1: banned")
        unknown = command(tmp_path, "users", "ban", "user_never", "--yes")
        assert (unknown.returncode, unknown.stderr) == (67, "user_never: Clerk has no such user\n")

        changed = command(tmp_path, "trigger", "user.updated", "--user", "user_1", "--set", "first_name=Augusta")
        assert changed.stdout == 'user.updated user_1 -> 200 {"outcome":"updated"}\n'
        assert me(tmp_path, port, "user_1").status_code == 403  # an update lifts no ban

        repaired = command(tmp_path, "reconcile", "--yes", "--json")
        assert repaired.returncode == 0, repaired.stderr
        here, there = listed(tmp_path), listed(tmp_path, "--at-clerk")
        assert [user["id"] for user in here] == [user["id"] for user in there] == ["user_1", "user_2"]
        assert [user["banned"] for user in here] == [user["banned"] for user in there] == [True, False]
        assert [user["first_name"] for user in here] == ["Augusta", "Ada"]

        nobody = command(tmp_path, "token", "--user", "user_never")
        assert nobody.stdout.count(".") == 2
        assert "has no user user_never" in nobody.stderr


def listed(folder, *arguments):
    shown = command(folder, "users", "list", "--json", *arguments)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda user: user["id"])


def test_dev_needs_no_proxy_whatever_the_shell_says(tmp_path):
    variables = {"HTTPS_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "socks5://h:1"}
    port = free_port()
    with dev(tmp_path, port, **variables):
        command(tmp_path, "trigger", "user.created", "--user", "user_ada")
        assert me(tmp_path, port, "user_ada").status_code == 200
        banned = subprocess.run(
            [sys.executable, "-m", "entrypoints.cli.main", "users", "ban", "user_ada", "--yes"],
            env={**environment(), "http_proxy": "http://127.0.0.1:1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert banned.returncode == 0, banned.stderr


def wait_until_healthy(port, process, within=30):
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200:
                return
        assert time.monotonic() < deadline, process.text()
        time.sleep(0.05)


def me_until(folder, port, user, status, within=20):
    deadline = time.monotonic() + within
    while (answer := me(folder, port, user)).status_code != status:
        assert time.monotonic() < deadline, (answer.status_code, answer.text)
    return answer
