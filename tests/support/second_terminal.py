"""`auth-service dev` in one terminal, and commands in a second one."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from devkit.servers.ports import free_port
from support import commands
from support.processes import Process, running

HOME = os.environ.get("HOME", "/")


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a second terminal."""
    return commands.run(*arguments, cwd=folder, env={"HOME": HOME, **variables})


@contextlib.contextmanager
def dev(folder: Path, port: int, *arguments: str, **variables: str) -> Iterator[Process]:
    """Run `dev` until it is ready; whatever happens, ask it to stop."""
    with running(folder, "dev", "--port", str(port), *arguments, HOME=HOME, **variables) as process:
        try:
            wait_for(process, "Ctrl-C stops everything", within=300)
            yield process
        finally:
            if process.alive:
                process.stop(60)


def wait_for(process: Process, text: str, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while text not in process.text():
        assert process.alive, process.text()
        assert time.monotonic() < deadline, process.text()
        time.sleep(0.02)


def me(folder: Path, port: int, user: str) -> httpx.Response:
    minted = command(folder, "token", "--user", user)
    assert minted.returncode == 0, minted.stderr
    token = minted.stdout.strip()
    return httpx.get(
        f"http://127.0.0.1:{port}/v1/me", headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=10
    )


def managing(folder: Path, port: int, organization: str, user: str) -> int:
    """Return the status of a look at a user by a person of this organization, with the permission."""
    minted = command(folder, "token", f"--user={user}", f"--org={organization}", "--permission=org:users:manage")
    headers = {"authorization": f"Bearer {minted.stdout.strip()}"}
    return httpx.get(f"http://127.0.0.1:{port}/v1/users/{user}", headers=headers, trust_env=False).status_code


def events(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    shown = command(folder, "events", "tail", "--json", "--from-beginning", *arguments)
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    return [json.loads(line) for line in shown.stdout.splitlines()]


def example_answers(
    folder: Path, source: str, values: Mapping[str, str | None], token: str
) -> list[tuple[int, dict[str, str] | None]]:
    """Run an example of the SDK's README as a service of its own, with what `dev` wrote and nothing else."""
    (folder / "example.py").write_text(source)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "example:app", f"--port={port}", "--log-level=warning"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
        | {name: value for name, value in values.items() if value},
        cwd=folder,
    )
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
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


def listed(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    shown = command(folder, "users", "list", "--json", *arguments)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda user: str(user["id"]))


def wait_until_healthy(port: int, process: Process, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/health/ready", trust_env=False).status_code == 200:
                return
        assert time.monotonic() < deadline, process.text()
        time.sleep(0.05)


def me_until(folder: Path, port: int, user: str, status: int, within: float = 60) -> httpx.Response:
    deadline = time.monotonic() + within
    while (answer := me(folder, port, user)).status_code != status:
        assert time.monotonic() < deadline, (answer.status_code, answer.text)
    return answer
