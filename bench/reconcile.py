"""`auth-service reconcile` against the Clerk stand-in over HTTP: users/s, and whether memory stays flat."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import cycle
from typing import Any

from attrs import field, frozen

from bench.figures import Figure
from bench.stage import Stage
from devkit.servers.ports import LOOPBACK, free_port

_SECRET_KEY = "sk_live_bench0123456789"  # noqa: S105  # of a stand-in that lives for a minute
_SHARE = 100
"""One user in so many is missing, one is stale and one is gone."""

_BETWEEN_CHANGES_S = 0.05

_RATE_LIMIT_WINDOW_S = 10
"""Clerk's, which the stand-in keeps for a production instance: 1,000 requests, whoever sends them."""


@frozen
class _Run:
    """What one process did."""

    summary: dict[str, Any]
    seconds: float
    cpu_s: float
    peak_mib: float

    @property
    def rate(self) -> float:
        return float(self.summary["users_per_second"])

    @property
    def note(self) -> str:
        differences = {name: counts["repaired"] for name, counts in self.summary["differences"].items()}
        repaired = ", ".join(f"{count:,} {name}" for name, count in differences.items() if count) or "nothing"
        return (
            f"repaired: {repaired}; peak RSS {self.peak_mib:.0f} MiB; "
            f"{self.cpu_s:.1f} s CPU of {self.seconds:.1f} s, start of Python and SDK included"
        )


@frozen
class _Clerk:
    """The stand-in, in a process of its own."""

    port: int
    _local: threading.local = field(factory=threading.local, init=False, repr=False)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection(LOOPBACK, self.port, timeout=60)
        while True:
            status, wait_s, text = self._ask(connection, method, path, body)
            if status != HTTPStatus.TOO_MANY_REQUESTS:
                break
            time.sleep(wait_s)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise RuntimeError(f"{method} {path}: {status} {text[:200]!r}")
        return json.loads(text)

    @staticmethod
    def _ask(
        connection: HTTPConnection, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, float, bytes]:
        headers = {"authorization": f"Bearer {_SECRET_KEY}", "content-type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        return response.status, float(response.headers.get("retry-after", 1)), response.read()

    def wait_for_webhooks(self) -> None:
        deadline = time.monotonic() + 120
        while self.ask("GET", "/stand-in/webhooks")["pending"]:
            if time.monotonic() > deadline:
                raise RuntimeError("webhooks still wait")
            time.sleep(0.1)


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Import, compare, and repair while webhooks flow, and check the table against the stand-in afterwards."""
    users, runs = (5_000, 1) if quick else (50_000, 3)
    with _clerk(stage, users // 10, webhooks_to=free_port()) as clerk:
        url = stage.database("bench_reconcile_few")
        few = [_again(stage, url, clerk, "users", "outbox") for _ in range(runs)]
        yield _figure(f"first import, {users // 10:,} users", few)
    port = free_port()
    with _clerk(stage, users, webhooks_to=port) as clerk:
        url = stage.database("bench_reconcile")
        yield _figure(
            f"first import, {users:,} users", [_again(stage, url, clerk, "users", "outbox") for _ in range(runs)]
        )
        yield _figure(f"nothing differs, {users:,} users", [_again(stage, url, clerk) for _ in range(runs)])
        ids = [row[0] for row in stage.sql(url, "SELECT id FROM users ORDER BY created_at, id")]
        with _serve(stage, url, port):
            drifted = [_drift_and_repair(stage, url, clerk, ids, run) for run in range(runs)]
        yield _figure(f"1 % missing, 1 % stale, 1 % gone of {users:,}, webhooks meanwhile", drifted)


def _figure(what: str, runs: Sequence[_Run]) -> Figure:
    return Figure(what=what, unit="users/s", runs=[run.rate for run in runs], note=runs[-1].note)


def _again(stage: Stage, url: str, clerk: _Clerk, *tables: str) -> _Run:
    stage.settle(url, *tables)
    run = _reconcile(stage, url, clerk)
    _compare(stage, url, clerk)
    return run


def _drift_and_repair(stage: Stage, url: str, clerk: _Clerk, ids: list[str], run: int) -> _Run:
    """Lose webhooks, then repair while others flow.

    Raises:
        RuntimeError: the table is not Clerk's list afterwards, or there are more or fewer events than changes.
    """
    count = len(ids) // _SHARE
    stale, gone = ids[3 * run :: _SHARE][:count], ids[3 * run + 1 :: _SHARE][:count]
    clerk.ask("PUT", "/stand-in/webhooks", {"drop_share": 1.0})
    missing = [clerk.ask("POST", "/v1/users", {"first_name": f"Missing {run}"})["id"] for _ in range(count)]
    for user_id in stale:
        clerk.ask("PATCH", f"/v1/users/{user_id}", {"first_name": f"Stale {run}"})
    for user_id in gone:
        clerk.ask("DELETE", f"/v1/users/{user_id}")
    clerk.wait_for_webhooks()
    clerk.ask("PUT", "/stand-in/webhooks", {"drop_share": 0.0})
    stage.settle(url, "outbox")
    time.sleep(_RATE_LIMIT_WINDOW_S)  # what made the drift is not to be the reconcile's limit

    flowing = ids[3 * run + 2 :: _SHARE]
    with _changing(clerk, flowing) as changed:
        done = _reconcile(stage, url, clerk)
    clerk.wait_for_webhooks()
    _compare(stage, url, clerk)
    events: dict[str, int] = {row[0]: row[1] for row in stage.sql(url, "SELECT key, count(*) FROM outbox GROUP BY key")}
    for what, who in (("missing", missing), ("stale", stale), ("gone", gone)):
        if any(events.pop(user_id, 0) != 1 for user_id in who):
            raise RuntimeError(f"{what}: not one event each")
    if set(events) - set(flowing) or any(events[user_id] > changed[user_id] for user_id in events):
        raise RuntimeError("more events than changes")
    return done


@contextmanager
def _changing(clerk: _Clerk, users: Sequence[str]) -> Iterator[dict[str, int]]:
    """Change these users in turn, and send the webhooks; yields how often each was changed."""
    changed = dict.fromkeys(users, 0)
    stop = threading.Event()

    def change() -> None:
        for number, user_id in enumerate(cycle(users)):
            if stop.wait(_BETWEEN_CHANGES_S):
                return
            changed[user_id] += 1
            clerk.ask("PATCH", f"/v1/users/{user_id}", {"last_name": f"Flow {number}"})

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield changed
    finally:
        stop.set()
        thread.join()


def _reconcile(stage: Stage, url: str, clerk: _Clerk) -> _Run:
    """Run the command to its end.

    Raises:
        RuntimeError: it did not end with 0.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "CLERK_SECRET_KEY": _SECRET_KEY,
        "CLERK_API_URL": f"http://{LOOPBACK}:{clerk.port}",
        "LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "entrypoints.cli.main", "reconcile", "--yes", "--json"]
    output = stage.folder / "reconcile.json"
    began = time.monotonic()
    with output.open("wb") as file:
        process = subprocess.Popen(command, env=environment, cwd=stage.folder, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"reconcile ended with {process.returncode}:\n{output.read_text()[-2000:]}")
    return _Run(
        json.loads(output.read_text()),
        time.monotonic() - began,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,  # KiB on Linux
    )


def _compare(stage: Stage, url: str, clerk: _Clerk) -> None:
    """Compare the living users with the stand-in's, by id, name and place in time.

    Raises:
        RuntimeError: they differ.
    """
    theirs: dict[str, tuple[Any, ...]] = {}
    after = 0
    while True:
        page = clerk.ask("GET", f"/v1/users?limit=500&order_by=%2Bcreated_at&created_at_after={max(0, after - 1)}")
        before = len(theirs)
        theirs |= {user["id"]: (user["first_name"], user["last_name"], user["updated_at"]) for user in page}
        if len(theirs) == before:
            break
        after = page[-1]["created_at"]
    rows = stage.sql(url, "SELECT id, first_name, last_name, source_updated_at FROM users WHERE deleted_at IS NULL")
    ours = {row[0]: tuple(row)[1:] for row in rows}
    if ours != theirs:
        differing = [user_id for user_id in ours.keys() | theirs.keys() if ours.get(user_id) != theirs.get(user_id)]
        raise RuntimeError(f"{len(differing)} of {len(theirs)} users differ: {differing[:3]}")


@contextmanager
def _clerk(stage: Stage, users: int, *, webhooks_to: int) -> Iterator[_Clerk]:
    port = free_port()
    endpoint = f"http://{LOOPBACK}:{webhooks_to}/webhooks/clerk"
    command = [sys.executable, "-m", "bench.clerk", str(port), endpoint]
    environment = {
        "CLERK_SECRET_KEY": _SECRET_KEY,
        "CLERK_WEBHOOK_SECRET": stage.keys.webhook_secret,
        "LOG_LEVEL": "error",
    }
    with stage.child(f"clerk-{port}", command, environment, port=port):
        clerk = _Clerk(port)
        clerk.ask("POST", "/stand-in/seed", {"count": users})
        yield clerk


@contextmanager
def _serve(stage: Stage, url: str, port: int) -> Iterator[None]:
    """Run `auth-service serve` where the webhooks go."""
    environment = {
        "CLERK_WEBHOOK_SECRET": stage.keys.webhook_secret,
        **stage.keys.environment,
        "DATABASE_URL": url,
        "PORT": str(port),
        "LOG_LEVEL": "error",
    }
    with stage.child(
        "serve", [sys.executable, "-m", "entrypoints.cli.main", "serve"], environment, cwd=stage.folder, port=port
    ):
        yield
