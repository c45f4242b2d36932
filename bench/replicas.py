"""`GET /v1/me` with reads at the primary, at one replica and at two, and what they leave of the primary's work."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import psutil

from bench import load
from bench.figures import Figure
from bench.requests import reads, session_tokens, user_ids, webhooks
from bench.stage import Stage
from devkit.servers.postgres import EmbeddedPostgres
from devkit.servers.standby import start_standby

_USERS = 2_000
_ALONE = "primary alone"
_SETTINGS = {"shared_buffers": "512MB"}


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare requests/s of two workers at 32 connections; all the servers share this machine's cores."""
    runs, seconds = (1, 3) if quick else (5, 5)
    users = user_ids(stage, _USERS)
    url = stage.database("bench_replicas")
    news = webhooks(stage, users, _USERS)[0]
    requests = reads(session_tokens(stage, users))
    with stage.serve(url) as (port, _):
        load.run(load.Plan(port=port, requests=news, connections=16, seconds=60))
    with ExitStack() as exits:
        standbys = []
        for number in range(2):
            standby = start_standby(stage.postgres, stage.folder / f"standby-{number}", settings=_SETTINGS)
            exits.callback(standby.stop)
            standbys.append(standby)
        ports = {}
        for name, count in ((_ALONE, 0), ("one replica", 1), ("two replicas", 2)):
            more: dict[str, Any] = {"DATABASE_REPLICA_URL": _url(url, standbys[:count])} if count else {}
            ports[name], _ = exits.enter_context(stage.serve(url, 2, **more))
        plans = {name: load.Plan(port, requests, 32, seconds, cycle=True) for name, port in ports.items()}
        for plan in plans.values():
            load.run(plan)
        done: dict[str, list[tuple[load.Load, float]]] = {name: [] for name in plans}
        for _ in range(runs):
            for name, plan in plans.items():
                before = _cpu_s(stage.postgres)
                loaded = load.run(plan)
                done[name].append((loaded, _cpu_s(stage.postgres) - before))
        for name, measured in done.items():
            last, cpu_s = measured[-1]
            note = f"{last.summary}; primary {cpu_s / len(last.latencies_ms) * 1e6:.0f} µs of CPU a request"
            against = None if name == _ALONE else _ALONE
            rates = [loaded.rate for loaded, _ in measured]
            yield Figure(what=name, unit="requests/s", runs=rates, against=against, note=note)


def _url(primary: str, standbys: list[EmbeddedPostgres]) -> str:
    hosts = ",".join("127.0.0.1" for _ in standbys)
    ports = ",".join(str(standby.port) for standby in standbys)
    parts = urlsplit(primary)
    return f"postgresql://{parts.username}:{parts.password}@{parts.path}?host={hosts}&port={ports}"


def _cpu_s(server: EmbeddedPostgres) -> float:
    """What the server's processes that live now have used."""
    process = psutil.Process(server.pid)
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))
