"""`auth-service dev --open` with everything that it starts, and its console in a real browser."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen

from devkit.servers.ports import free_port
from support.browser import Tab
from support.processes import Process
from support.second_terminal import command, dev

_OPENER = """#!/bin/sh
printf %s "$1" > "$(dirname "$0")/opened"
"""


@frozen
class Stage:
    folder: Path
    url: str
    """Of the console: what `dev --open` opened."""
    http: httpx.Client
    """A client of the stand-in's API."""
    process: Process

    def sign_up(self, first_name: str = "Ada") -> str:
        """Return the id of a new user, whose webhook was answered."""
        email = f"{time.time_ns()}@example.org"
        made = self.http.post("/v1/users", json={"email_address": [email], "first_name": first_name})
        self._answered()
        return str(made.raise_for_status().json()["id"])

    def rename(self, user_id: str, first_name: str, *, drop: bool = False) -> None:
        headers = {"stand-in-webhooks": "drop"} if drop else {}
        path, change = f"/v1/users/{user_id}", {"first_name": first_name}
        self._change(self.http.build_request("PATCH", path, json=change, headers=headers))

    def ban_and_unban(self, user_id: str, times: int) -> None:
        """Change a user twice so many times; the stand-in takes ten renames of one user in 10 s, as Clerk does."""
        for _ in range(times):
            for action in ("ban", "unban"):
                self._change(self.http.build_request("POST", f"/v1/users/{user_id}/{action}"))

    def _change(self, change: httpx.Request) -> None:
        while (answer := self.http.send(change)).status_code == 429:  # as Clerk's, the stand-in limits requests
            time.sleep(int(answer.headers["retry-after"]))
        answer.raise_for_status()
        self._answered()

    def _answered(self) -> None:
        """Return when no webhook is under way: two that are may be answered in any order."""
        deadline = time.monotonic() + 20
        while self.http.get("/stand-in/webhooks").json()["pending"]:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def shell(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run what was copied, in the folder where `dev` runs."""
        return subprocess.run(
            ["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    def without_start(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Run one `auth-service …` that was copied: the shell splits it, but need not wait for Python's start."""
        split = self.shell(f"printf '%s\\0' {line}")
        program, *arguments = split.stdout.split("\0")[:-1]
        assert Path(program).name == "auth-service"
        return command(self.folder, *arguments)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("dev")
    opener = folder / "browser"
    opener.write_text(_OPENER)
    opener.chmod(0o755)
    with dev(folder, free_port(), "--open", BROWSER=str(opener)) as process:
        deadline = time.monotonic() + 20
        while not (opened := folder / "opened").exists() or not opened.read_text():
            assert time.monotonic() < deadline, process.text()
            time.sleep(0.05)
        key = (folder / "var/dev/clerk-secret-key").read_text().strip()
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(base_url=opened.read_text(), headers=headers, trust_env=False, timeout=20) as http:
            yield Stage(folder, opened.read_text(), http, process)


@pytest.fixture
def show(tab: Tab, stage: Stage) -> Iterator[Callable[..., Tab]]:
    """Show an address of the console, and return when it is live."""

    def shown(address: str = "/", **look: Any) -> Tab:
        tab.look(**{"width": 1280, **look})
        tab.open(f"{stage.url}{address}")
        tab.wait_for(f"location.href === {stage.url + address!r} && document.querySelector('.live.on')")
        tab.wait_for("document.querySelector('main h1')")
        return tab

    yield shown
    tab.command("Emulation.clearDeviceMetricsOverride")
    tab.command("Emulation.setEmulatedMedia", features=[])
