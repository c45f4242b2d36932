"""What a second terminal does while `auth-service dev` runs in the first: one `dev` for all of it."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from attrs import frozen
from dotenv import dotenv_values

from devkit.servers.ports import free_port
from support.processes import Process, running
from support.second_terminal import (
    command,
    dev,
    events,
    example_answers,
    listed,
    managing,
    me,
    me_until,
    wait_until_healthy,
)

pytestmark = pytest.mark.stacks

NOWHERE = "http://127.0.0.1:1"


@frozen
class Beside:
    """Where `dev` runs, and what it says."""

    folder: Path
    port: int
    process: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def address(self, of: str) -> str:
        """What the start says of the `Frontend` or of `Clerk`."""
        return next(line.split()[1] for line in self.process.text().splitlines() if line.strip().startswith(of))


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """A shell that names proxies, and a `.env` that names whose tokens count."""
    folder, port = tmp_path_factory.mktemp("dev"), free_port()
    (folder / ".env").write_text("CLERK_AUTHORIZED_PARTIES=http://localhost:5173\n")
    with dev(folder, port, HTTPS_PROXY=NOWHERE, http_proxy=NOWHERE, ALL_PROXY="socks5://h:1") as process:
        yield Beside(folder, port, process)


def test_a_tail_shows_what_comes_after_its_start_and_ctrl_c_ends_it_quietly(beside):
    command(beside.folder, "trigger", "user.created", "--user", "user_before")
    events(beside.folder, "--limit", "1")
    with running(beside.folder, "events", "tail", LOG_FORMAT="") as tail:
        # Nothing says when it stands at the end, so events are made until one is seen.
        for number in range(60):
            command(beside.folder, "trigger", "user.created", "--user", f"user_after{number}")
            if "user_after" in tail.text():
                break
        tail.popen.send_signal(signal.SIGINT)
        status = tail.popen.wait(20)

    header, *lines = tail.text().splitlines()
    assert status == 130
    assert header.split("\t") == ["time", "event", "user", "version", "changed"]
    assert all(line.split("\t")[1:4:2] == ["created", "v1"] for line in lines)
    assert "user_before" not in tail.text()
    assert len(lines) >= 1


def test_every_command_reads_what_dev_shares(beside):
    folder, another = beside.folder, free_port()
    file = "auth-service dev (var/dev/dev.env)"
    for name in ("serve", "relay", "migrate", "users", "outbox", "events", "reconcile", "trigger", "token"):
        shown = command(folder, "config", name)
        assert shown.returncode == 0, shown.stderr
        assert f"\t{file}\t" in shown.stdout
    shown = json.loads(command(folder, "config", "--json").stdout)
    sources = {variable["name"]: variable["source"] for variable in shown["variables"]}
    assert (sources["DATABASE_URL"], sources["CLERK_WEBHOOK_SECRET"], sources["PORT"]) == (file, file, file)
    assert (sources["LOG_LEVEL"], shown["problems"]) == ("default", [])

    migrated = command(folder, "migrate")
    assert (migrated.returncode, migrated.stdout.endswith(" already.\n")) == (0, True), migrated.stderr
    checked = command(folder, "topic", "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with running(folder, "serve", "--port", str(another)) as serve, running(folder, "relay") as relay:
        said = serve.wait_for("dev_settings_used")
        assert "DATABASE_URL" in said[0]["variables"]
        wait_until_healthy(another, serve)
        relay.wait_for("lanes_held")
        assert relay.stop() == 0
    taken = command(folder, "serve")
    assert f"Cannot listen on HOST 127.0.0.1, PORT {beside.port}" in taken.stderr + taken.stdout
    own = command(folder, "trigger", "user.created", "--url", beside.url)
    assert own.returncode == 0, own.stdout


def test_a_token_of_the_command_has_the_organization_and_permission_that_it_is_told(beside):
    command(beside.folder, "trigger", "user.created", "--user", "user_managed")
    organizations = ("org_dev", "org_other")

    assert [managing(beside.folder, beside.port, each, "user_managed") for each in organizations] == [200, 403]


def test_the_example_page_is_on_an_origin_of_its_own_and_gets_a_token_that_the_service_takes(beside):
    origin = beside.address("Frontend")
    page = origin.replace("localhost", "127.0.0.1")
    assert httpx.get(page, trust_env=False).status_code == 200
    assert httpx.get(f"{page}/config.json").json() == {"api": beside.url, "mints_tokens": True}
    command(beside.folder, "trigger", "user.created", "--user", "user_ada")
    token = httpx.get(f"{page}/token?user=user_ada").text
    answer = httpx.get(f"{beside.url}/v1/me", headers={"authorization": f"Bearer {token}", "origin": origin})

    assert (answer.status_code, answer.json()["id"]) == (200, "user_ada")
    assert answer.headers["access-control-allow-origin"] == origin
    assert httpx.get(f"{page}/token?user=nobody").status_code == 400
    assert me(beside.folder, beside.port, "user_ada").status_code == 200  # of the command, for the configured party


def test_without_an_account_a_user_who_signs_up_at_the_stand_in_is_known_banned_and_deleted(beside):
    folder, port = beside.folder, beside.port
    key = (folder / "var/dev/clerk-secret-key").read_text().strip()
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=beside.address("Clerk"), headers=headers, trust_env=False) as http:
        user = http.post("/v1/users", json={"email_address": ["grace@dev.example"]}).json()["id"]
        known = me_until(folder, port, user, 200)
        assert (known.json()["email"], known.json()["version"]) == ("grace@dev.example", 1)

        session = http.post("/v1/sessions", json={"user_id": user}).json()["id"]
        minted = http.post(f"/v1/sessions/{session}/tokens", json={}).json()["jwt"]
        signed_in = httpx.get(f"{beside.url}/v1/me", headers={"authorization": f"Bearer {minted}"}, trust_env=False)
        assert (signed_in.status_code, signed_in.json()["id"]) == (200, user)

        http.post(f"/v1/users/{user}/ban")
        me_until(folder, port, user, 403)
        http.delete(f"/v1/users/{user}")
        me_until(folder, port, user, 401)
    types = [event["type"].split(".")[2] for event in events(folder, "--limit", "3", "--user", user)]
    assert types == ["created", "updated", "deleted"]


def test_a_service_with_the_sdks_example_takes_the_tokens_of_dev_by_its_key_set_and_by_its_key(beside):
    readme = (Path(__file__).parents[3] / "sdk" / "README.md").read_text()
    examples = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", readme, re.DOTALL))
    values = dotenv_values(beside.folder / "var/dev/dev.env", interpolate=False)
    command(beside.folder, "trigger", "user.created", "--user", "user_of_example")
    token = command(beside.folder, "token", "--user", "user_of_example").stdout.strip()
    issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
    assert issuer == values["CLERK_ISSUER"] == values["CLERK_API_URL"]

    for name in ("fastapi", "starlette"):
        answers = example_answers(beside.folder, examples[name], values, token)
        assert answers == [(401, None), (200, {"user_id": "user_of_example"})], name


def test_users_who_are_triggered_are_users_of_clerk_too(beside):
    folder = beside.folder
    for user in ("user_t1", "user_t2", "user_t3"):
        assert command(folder, "trigger", "user.created", "--user", user).returncode == 0
    command(folder, "trigger", "user.deleted", "--user", "user_t3")
    banned = command(folder, "users", "ban", "user_t1", "--yes", http_proxy=NOWHERE)
    assert (banned.returncode, banned.stdout.split(" (")[0]) == (0, "user_t1: banned"), banned.stderr
    unknown = command(folder, "users", "ban", "user_never", "--yes")
    assert (unknown.returncode, unknown.stderr) == (67, "user_never: Clerk has no such user\n")

    changed = command(folder, "trigger", "user.updated", "--user", "user_t1", "--set", "first_name=Augusta")
    assert changed.stdout == 'user.updated user_t1 -> 200 {"outcome":"updated"}\n'
    assert me(folder, beside.port, "user_t1").status_code == 403  # an update lifts no ban

    repaired = command(folder, "reconcile", "--yes", "--json")
    assert repaired.returncode == 0, repaired.stderr
    here, there = listed(folder), listed(folder, "--at-clerk")
    assert [user["id"] for user in here] == [user["id"] for user in there]
    ours = [(user["id"], user["banned"], user["first_name"]) for user in here if user["id"].startswith("user_t")]
    assert ours == [("user_t1", True, "Augusta"), ("user_t2", False, "Ada")]
    assert [user["banned"] for user in here] == [user["banned"] for user in there]

    nobody = command(folder, "token", "--user", "user_never")
    assert nobody.stdout.count(".") == 2
    assert "has no user user_never" in nobody.stderr
