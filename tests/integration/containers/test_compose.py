"""The default profile, as a new user has it: no `.env`, no Clerk."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from support.compose import ROOT
from support.load import Load

pytestmark = pytest.mark.containers


def me(compose, user):
    token = compose.service("token", "--user", user).strip()
    return httpx.get(f"{compose.url}/v1/me", headers={"authorization": f"Bearer {token}"}, timeout=20)


def webhook_load(compose, **options):
    secret = compose.compose("exec", "-T", "serve", "cat", "var/dev/webhook-secret").strip()
    return Load(compose.url, secret, **options)


def test_up_alone_serves_a_user_from_webhook_to_event(compose):
    user = "user_compose1"
    compose.service("trigger", "user.created", "--user", user)
    answer = me(compose, user)
    (event,) = compose.events(1)

    assert compose.exit_codes("migrate", "topic", "dev-keys") == {"migrate": {0}, "topic": {0}, "dev-keys": {0}}
    assert len(compose.containers("relay")) == 2
    assert (answer.status_code, answer.json()["id"]) == (200, user)
    assert user in json.dumps(event)
    assert httpx.get(f"{compose.url}/schema").status_code == 200


@pytest.mark.parametrize("service", ["serve", "relay", "migrate", "topic", "dev-keys", "proxy"])
def test_our_containers_may_do_no_more_than_they_need(compose, service):
    for container in compose.containers(service):
        host = container["HostConfig"]

        assert container["Config"]["User"] not in ("", "0", "root")
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["Memory"] > 0


def test_stopped_and_started_again_the_data_are_still_there(compose):
    user = "user_compose2"
    compose.service("trigger", "user.created", "--user", user)
    compose.compose("stop")
    codes = compose.exit_codes("serve", "relay", "proxy", "postgres")
    compose.compose("up", "--detach", "--wait")

    assert codes == {name: {0} for name in codes}
    assert me(compose, user).json()["version"] == 1


@pytest.mark.parametrize("command", [("serve", "--workers=2"), ("relay",)], ids=" ".join)
def test_the_first_process_of_a_container_leaves_when_told(compose, command):
    name = f"{compose.project}-alone"
    compose.compose("run", "--detach", "--no-deps", f"--name={name}", command[0], *command)
    started = {"serve": "Started worker-2", "relay": "lanes_held"}[command[0]]
    try:
        compose.run(
            "timeout", "30", "sh", "-c", f"until docker logs {name} 2>&1 | grep -q '{started}'; do sleep 0.1; done"
        )
        compose.run("docker", "stop", "--time=30", name)
        (state,) = json.loads(compose.run("docker", "inspect", "--format={{json .State}}", name).join("[]"))
    finally:
        compose.run("docker", "rm", "--force", name)

    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)


async def test_stopping_one_of_two_under_load_cuts_nobody_off_and_loses_nothing(compose):
    load = webhook_load(compose, keep_alive=False)
    one, _ = compose.containers("serve")
    async with load.running(8):
        await load.answers(100)
        await asyncio.to_thread(compose.run, "docker", "stop", one["Id"])
        await load.answers(100)
    await asyncio.to_thread(compose.compose, "up", "--detach", "--wait")

    assert load.cut == []
    assert load.refused == 0
    assert load.not_acknowledged == []
    stored = await asyncio.to_thread(compose.query, "SELECT id FROM users")
    assert set(load.acknowledged) <= set(stored)
    events = await asyncio.to_thread(compose.events, len(stored))
    assert set(stored) <= {re.search(r"user_\w+", json.dumps(event))[0] for event in events}


async def test_serve_is_replaced_under_load_without_one_failed_request(compose):
    loads = [webhook_load(compose, keep_alive=keep_alive) for keep_alive in (True, False)]
    before = {each["Id"] for each in compose.containers("serve")}
    async with loads[0].running(4), loads[1].running(4):
        await loads[0].answers(50)
        await asyncio.to_thread(compose.run, "deploy/compose/rolling-restart")
        await loads[0].answers(50)
    after = {each["Id"] for each in compose.containers("serve")}

    assert before.isdisjoint(after)
    assert len(after) == len(before)
    for load in loads:
        assert load.cut == []
        assert load.refused == 0
        assert load.not_acknowledged == []


@pytest.mark.parametrize("files", [[], ["deploy/compose/secrets.yml"]], ids=["profiles", "secrets"])
def test_what_cannot_be_brought_up_here_is_at_least_well_formed(compose, files):
    chosen = [f"--file={file}" for file in ["docker-compose.yml", *files]]
    config = json.loads(compose.compose(*chosen, "--profile=*", "config", "--format=json"))
    mounts = [
        Path(volume["source"])
        for service in config["services"].values()
        for volume in service.get("volumes", ())
        if volume["type"] == "bind"
    ]

    assert {"kafka-browser", "clerk-stand-in", "prometheus", "grafana"} <= config["services"].keys()
    assert [path for path in mounts if not path.exists()] == []  # Docker would make a folder of that name


@pytest.mark.parametrize("platform", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"])
def test_every_dependency_of_the_image_has_a_wheel(platform, tmp_path):
    command = [".venv/bin/uv", "pip", "install", "--dry-run", f"--target={tmp_path}", "--only-binary=:all:"]
    locked = ["--require-hashes", "--python-version=3.13", "--requirement=requirements.lock"]
    done = subprocess.run(
        [*command, *locked, f"--python-platform={platform}"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert " + granian==" in done.stderr
