"""Webhooks over HTTP until COMMIT, beside pgbench on the same server and beside dual-write services."""

from collections.abc import Iterator

from bench import load, pgbench
from bench.figures import Figure
from bench.peers import USERS, express, fastapi
from bench.requests import user_ids, webhooks
from bench.stage import Stage

_REFERENCE = "pgbench, simple, 32 clients"
_STORING = ('{"outcome":"created"}', '{"outcome":"updated"}')


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare webhooks/s, each a user's row and its event, with transactions/s that write the same by hand."""
    runs, count, seconds = (1, 4_000, 3) if quick else (3, 12_000, 6)
    sizes = ((1, count // 6), (32, count), (128, count))
    url = stage.database("bench_webhooks")
    pgbench.prepare(stage, url)
    for protocol in ("simple", "prepared"):
        rates = [pgbench.transactions(stage, url, protocol, clients=32, seconds=seconds) for _ in range(runs)]
        note = "BEGIN, upsert, insert, COMMIT"
        yield Figure(what=f"pgbench, {protocol}, 32 clients", unit="transactions/s", runs=rates, note=note)
    for workers in (1, 2):
        with stage.serve(url, workers) as (port, _):
            for connections, sized in sizes:
                what = f"serve, {workers} worker{'s' * (workers > 1)}, {connections} connections"
                yield _figure(what, [_run(stage, url, port, connections, sized) for _ in range(runs)])
    topic = stage.topic("bench-webhooks")
    with stage.serve(url) as (port, _), stage.relay(url, topic):
        for connections, sized in sizes:
            done = [_run(stage, url, port, connections, sized) for _ in range(runs)]
            yield _figure(f"serve and relay, {connections} connections", done)
    for name, peer in (("Express + Prisma", express), ("FastAPI + ORM", fastapi)):
        peer_url = stage.database("bench_peer", ours=False)
        stage.sql(peer_url, USERS)
        with peer(stage, peer_url, stage.topic(f"bench-{peer.__name__}")) as (port, _):
            for connections, sized in sizes:
                loads = []
                for _ in range(runs):
                    stage.settle(peer_url, "users")
                    loads.append(_load(stage, port, connections, min(sized, count // 3))[-1])
                note = f"{loads[-1].summary}; row, then Kafka, then 200"
                what, rates = f"{name} dual write, {connections} connections", [load.rate for load in loads]
                yield Figure(what=what, unit="webhooks/s", runs=rates, against=_REFERENCE, note=note)
    again = [pgbench.transactions(stage, url, "simple", clients=32, seconds=seconds) for _ in range(runs)]
    what = "pgbench, simple, 32 clients, at the end"
    yield Figure(what=what, unit="transactions/s", runs=again, against=_REFERENCE, note="how steady the machine was")


def _figure(what: str, done: list[tuple[load.Load, float]]) -> Figure:
    last, statements = done[-1]
    note = f"{last.summary}; {statements:.2f} statements a webhook; load generator {last.cpu_share:.0%} of a core"
    rates = [loaded.rate for loaded, _ in done]
    return Figure(what=what, unit="webhooks/s", runs=rates, against=_REFERENCE, note=note)


def _run(stage: Stage, url: str, port: int, connections: int, count: int) -> tuple[load.Load, float]:
    """Load once; return the load and the statements that PostgreSQL executed for each webhook."""
    stage.settle(url, "users", "outbox")
    stage.sql(url, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    stage.sql(url, "SELECT pg_stat_statements_reset()")
    loads = _load(stage, port, connections, count)
    statements = stage.sql(
        url,
        "SELECT sum(calls) FROM pg_stat_statements WHERE query !~ 'pg_stat_statements'"
        " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )[0][0]
    _verify(stage, url, loads)
    return loads[-1], int(statements) / sum(len(loaded.latencies_ms) for loaded in loads)


def _load(stage: Stage, port: int, connections: int, count: int) -> list[load.Load]:
    """Load shortly, to warm up, then in earnest."""
    warm_up, _ = webhooks(stage, user_ids(stage, 200), 400)
    requests, _ = webhooks(stage, user_ids(stage, count // 5), count)
    first = load.run(load.Plan(port=port, requests=warm_up, connections=min(connections, 32), seconds=10))
    return [first, load.run(load.Plan(port=port, requests=requests, connections=connections, seconds=60))]


def _verify(stage: Stage, url: str, loads: list[load.Load]) -> None:
    """Compare the tables with what was acknowledged; a relay may have taken events away already.

    Raises:
        RuntimeError: they differ.
    """
    acknowledged = sum(loaded.short.get(body, 0) for loaded in loads for body in _STORING)
    stored = stage.sql(url, "SELECT sum(version)::bigint FROM users")[0][0]
    gaps = stage.sql(
        url,
        "SELECT key FROM (SELECT key, min(version) AS first, max(version) AS last, count(*) AS events FROM outbox"
        " GROUP BY key) AS stored JOIN users ON id = key WHERE last <> version OR last - first + 1 <> events",
    )
    answers = [loaded.statuses for loaded in loads]
    if stored != acknowledged or gaps or any(set(statuses) != {"200"} for statuses in answers):
        raise RuntimeError(f"{acknowledged} changes acknowledged, {stored} stored, gaps {gaps[:3]}, answers {answers}")
