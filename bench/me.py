"""`GET /v1/me` with session tokens of many users, one process each, verified by a key at hand (no network)."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from bench import load
from bench.figures import Figure
from bench.peers import USERS, express, fastapi
from bench.requests import reads, session_tokens, user_ids, webhooks
from bench.stage import Stage

_USERS = 2_000


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare requests/s of one process at 32 connections; peers take turns with the service."""
    runs, seconds = (1, 3) if quick else (5, 5)
    users = user_ids(stage, _USERS)
    plan = partial(load.Plan, requests=reads(session_tokens(stage, users)), connections=32, cycle=True)
    url, peer_url = stage.database("bench_me"), stage.database("bench_me_peer", ours=False)
    stage.sql(peer_url, USERS)
    topic = stage.topic("bench-me")
    with ExitStack() as exits:
        ours, _ = exits.enter_context(stage.serve(url))
        node, _ = exits.enter_context(express(stage, peer_url, topic))
        python, _ = exits.enter_context(fastapi(stage, peer_url, topic))
        for port in (ours, node):  # the two peers share a table
            load.run(load.Plan(port=port, requests=webhooks(stage, users, _USERS)[0], connections=16, seconds=60))
        loads: dict[int, list[load.Load]] = {ours: [], node: [], python: []}
        for port in loads:
            load.run(plan(port=port, seconds=min(seconds, 4)))
        for _ in range(runs):
            for port, done in loads.items():
                done.append(load.run(plan(port=port, seconds=seconds)))
        names = {ours: "auth-service", node: "Express + Prisma", python: "FastAPI + ORM"}
        for port, done in loads.items():
            yield Figure(
                what=names[port],
                unit="requests/s",
                runs=[loaded.rate for loaded in done],
                against=None if port == node else names[node],
                note=f"{done[-1].summary}; load generator {done[-1].cpu_share:.0%} of a core",
            )
