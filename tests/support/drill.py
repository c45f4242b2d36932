"""A service whose operator is told nothing, and all that he can look at."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define

from devkit.fake_clerk.signing import sign_webhook
from support import commands
from support.processes import Process
from support.users import USER
from support.web import SECRET, created


@define
class Service:
    """`serve` and `relay` as an operator has them, and what can be asked of them."""

    serve: Process
    relay: Process
    port: int
    metrics_port: int
    variables: Mapping[str, str]
    folder: Path

    def doctor(self, **changes: str) -> tuple[int, dict[str, dict[str, str]]]:
        """Return doctor's exit status, and the worst finding of each check."""
        variables = {"PORT": str(self.port), **self.variables, **changes}
        done = commands.run("doctor", "--json", env=variables, cwd=self.folder, within=90)
        assert done.stdout, done.stderr
        found: dict[str, dict[str, str]] = {}
        for finding in json.loads(done.stdout):
            if finding["check"] not in found or found[finding["check"]]["severity"] != "failure":
                found[finding["check"]] = finding
        return done.returncode, found

    def health(self) -> tuple[int, dict[str, str]]:
        """Return the status and the causes of `serve`."""
        status, body = get(f"http://127.0.0.1:{self.port}/health")
        return status, json.loads(body)["causes"]

    def relay_health(self) -> tuple[int, dict[str, str]]:
        status, body = get(f"http://127.0.0.1:{self.metrics_port}/health")
        return status, json.loads(body)["causes"]

    def metrics(self) -> str:
        """Return what `serve` and `relay` tell Prometheus."""
        return get(f"http://127.0.0.1:{self.port}/metrics")[1] + get(f"http://127.0.0.1:{self.metrics_port}/metrics")[1]

    def logs(self) -> list[dict[str, Any]]:
        return [*self.serve.events(), *self.relay.events()]

    def webhook(
        self, *, secret: str = SECRET, off_s: float = 0.0, user: str = USER, at: int = 1_700_000_000_000
    ) -> int:
        body = created(user, at=at)
        headers = sign_webhook(secret, f"msg_{user}_{at}", int(time.time() + off_s), body)
        return get(f"http://127.0.0.1:{self.port}/webhooks/clerk", body, headers)[0]


def get(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def until(condition: Callable[[], bool], within: float = 60.0) -> None:
    """Wait for it; what takes effect in another process takes a moment."""
    deadline = time.monotonic() + within
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.2)


def wait_for(url: str, *running: Process) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if get(url)[0] == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, [process.text() for process in running]
        time.sleep(0.1)
