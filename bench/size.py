"""A table of many users: what each thing costs that may grow with it."""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import asyncpg

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.user_directory import PostgresUserDirectory
from bench import load, many_users
from bench.figures import Figure, percentiles
from bench.requests import reads, session_tokens, webhooks
from bench.stage import Stage
from devkit.servers.ports import LOOPBACK, free_port
from domain.user import UserId
from entrypoints.config.service_keys import new_service_key

USERS = 20_000_000
QUICK_USERS = 50_000
_AT_A_TIME = 500_000
_PAGE = 100
_SECRET_KEY = "sk_live_bench0123456789"  # noqa: S105  # of a stand-in that lives for a minute


def measure(stage: Stage, *, quick: bool, users: int | None = None) -> Iterator[Figure]:
    """Fill the table, then measure on it; random users throughout, so that no cache holds what is asked for."""
    count = users or (QUICK_USERS if quick else USERS)
    runs, seconds = (1, 3) if quick else (3, 5)
    chosen = random.Random(1)  # noqa: S311  # the same users each time
    url = stage.database("bench_size")
    filled_s = _seconds(lambda: _fill(stage, url, count))
    stage.sql(url, "VACUUM (ANALYZE) users")
    stage.sql(url, "CHECKPOINT")
    table, indexes = stage.sql(url, "SELECT pg_table_size('users'), pg_indexes_size('users')")[0]
    shown = f"{count:,} users: {table / 2**30:.2f} GiB and {indexes / 2**30:.2f} GiB of indexes"
    yield Figure(
        what="a user takes",
        unit="KiB",
        runs=[(table + indexes) / count / 1024],
        note=f"{shown}; filled in {filled_s:.0f} s",
    )

    key, configured = new_service_key("bench")
    with stage.serve(url, AUTH_SERVICE_KEYS=str(configured)) as (port, _):
        some = [many_users.user_id_of(chosen.randint(1, count)) for _ in range(4_000)]
        load.run(load.Plan(port, webhooks(stage, some[:200], 400)[0], 16, 10))
        written = []
        for _ in range(runs):
            some = [many_users.user_id_of(chosen.randint(1, count)) for _ in range(8_000 if not quick else 1_000)]
            written.append(load.run(load.Plan(port, webhooks(stage, some, len(some))[0], 32, 60)))
        yield _rates("webhooks, 32 connections", "webhooks/s", written)

        some = [many_users.user_id_of(chosen.randint(1, count)) for _ in range(20_000 if not quick else 1_000)]
        requests = reads(session_tokens(stage, some))
        read = [load.run(load.Plan(port, requests, 32, seconds, cycle=True)) for _ in range(runs)]
        yield _rates("/v1/me, 32 connections", "requests/s", read)

        emails = [many_users.email_of(chosen.randint(1, count)) for _ in range(2_000 if not quick else 200)]
        latencies = [_looked_up(port, key, emails) for _ in range(runs)]
        yield _latency("look-up by email over HTTP, one at a time", latencies)

    pages = [asyncio.run(_pages(url, count, chosen)) for _ in range(runs)]
    yield _latency(f"a page of `users list`, {_PAGE} users, anywhere", pages)

    create = "CREATE INDEX CONCURRENTLY bench_external_id ON users (external_id, id)"
    built = []
    for _ in range(runs):
        built.append(_seconds(lambda: stage.sql(url, create)))
        stage.sql(url, "DROP INDEX bench_external_id")
    yield Figure(what="an index, built concurrently", unit="s", runs=built)
    yield Figure(
        what="vacuum, after these webhooks",
        unit="s",
        runs=[_seconds(lambda: stage.sql(url, "VACUUM (ANALYZE) users")) for _ in range(runs)],
        note="the first run has dead rows to remove",
    )
    yield _reconciled(stage, url, count)


def _fill(stage: Stage, url: str, count: int) -> None:
    async def fill(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        for first in range(1, count + 1, _AT_A_TIME):
            await connection.execute(many_users.ROWS, first, min(count, first + _AT_A_TIME - 1), timeout=3600)

    stage.database_work(url, fill)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _rates(what: str, unit: str, runs: list[load.Load]) -> Figure:
    return Figure(what=what, unit=unit, runs=[run.rate for run in runs], note=runs[-1].summary)


def _latency(what: str, runs: list[list[float]]) -> Figure:
    return Figure(what=what, unit="ms", runs=[statistics.median(run) for run in runs], note=percentiles(runs[-1]))


def _looked_up(port: int, key: str, emails: list[str]) -> list[float]:
    connection = HTTPConnection(LOOPBACK, port, timeout=60)
    latencies = []
    for email in emails:
        began = time.perf_counter()
        connection.request("GET", f"/v1/users?email={email}", headers={"authorization": f"Bearer {key}"})
        found = json.loads(connection.getresponse().read())
        latencies.append((time.perf_counter() - began) * 1000)
        if len(found["users"]) > 1:
            raise RuntimeError("one address, two users")
    connection.close()
    return latencies


async def _pages(url: str, count: int, chosen: random.Random) -> list[float]:
    engine = create_engine(read_target(url), pool_size=1, application_name="bench")
    directory = PostgresUserDirectory(engine)
    latencies = []
    for _ in range(200):
        after = UserId(many_users.user_id_of(chosen.randint(1, max(1, count - _PAGE))))
        began = time.perf_counter()
        page = await directory.page(after=after, limit=_PAGE)
        latencies.append((time.perf_counter() - began) * 1000)
        if len(page) != _PAGE:
            raise RuntimeError(f"a page of {len(page)}")
    await engine.dispose()
    return latencies


def _reconciled(stage: Stage, url: str, count: int) -> Figure:
    """Compare all of them with a stand-in that makes each page from the users' numbers, and holds none."""
    # The webhooks changed some of them, which the stand-in does not know: they are as they were filled in again.
    stage.sql(url, "DELETE FROM users WHERE version > 1 OR source_updated_at <> source_timestamp")
    stage.sql(url, "TRUNCATE outbox")
    present = stage.sql(url, "SELECT count(*) FROM users")[0][0]
    with _clerk(stage, count) as port:
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url,
            "CLERK_SECRET_KEY": _SECRET_KEY,
            "CLERK_API_URL": f"http://{LOOPBACK}:{port}",
            "LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "entrypoints.cli.main", "reconcile", "--dry-run", "--json"]
        output = stage.folder / "reconcile.json"
        began = time.perf_counter()
        with output.open("wb") as file:
            process = subprocess.Popen(
                command, env=environment, cwd=stage.folder, stdout=file, stderr=subprocess.STDOUT
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
    missing = _missing(output, process.returncode)
    if missing != count - present:
        raise RuntimeError(f"{missing} differ, and {count - present} are not there")
    note = (
        f"{count:,} users in {seconds:.0f} s; found the {missing:,} that were taken out; "
        f"peak RSS {usage.ru_maxrss / 1024:.0f} MiB; {usage.ru_utime + usage.ru_stime:.0f} s of CPU"
    )
    return Figure(what="reconcile --dry-run", unit="users/s", runs=[count / seconds], note=note)


def _missing(output: Path, status: int) -> int:
    """Return how many were found missing.

    Raises:
        RuntimeError: the run failed, or found something else.
    """
    text = output.read_text()
    try:
        differences = json.loads(text)["differences"]
        found = {name: counts["found"] for name, counts in differences.items()}
    except (ValueError, KeyError):
        raise RuntimeError(f"reconcile ended with {status}:\n{text[-2000:]}") from None
    if any(count for name, count in found.items() if name != "missing"):
        raise RuntimeError(f"reconcile found {found}")
    return int(found["missing"])


@contextmanager
def _clerk(stage: Stage, count: int) -> Iterator[int]:
    port = free_port()
    with stage.child("many-users", [sys.executable, "-m", "bench.many_users", str(port), str(count)], {}, port=port):
        yield port
