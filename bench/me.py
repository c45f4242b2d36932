"""`GET /v1/me` with session tokens of many users, one process each, verified by a key at hand (no network)."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from anomalyze_auth._proofs import REMEMBERED
from bench import load
from bench.figures import Figure
from bench.peers import USERS, express, fastapi
from bench.requests import reads, session_tokens, user_ids, webhooks
from bench.stage import Stage

_USERS = 2_000
_REFERENCE = "Express + Prisma, verifyToken"


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare requests/s of one process at 32 connections; peers take turns with the service."""
    runs, seconds = (1, 3) if quick else (5, 5)
    users = user_ids(stage, _USERS)
    tokens = session_tokens(stage, users)
    # More than a process remembers, so that each is a new one whenever its turn comes.
    many = session_tokens(stage, users * (1 + REMEMBERED // _USERS))
    url, peer_url = stage.database("bench_me"), stage.database("bench_me_peer", ours=False)
    stage.sql(peer_url, USERS)
    topic = stage.topic("bench-me")
    with ExitStack() as exits:
        ours, _ = exits.enter_context(stage.serve(url))
        node, _ = exits.enter_context(express(stage, peer_url, topic))
        python, _ = exits.enter_context(fastapi(stage, peer_url, topic))
        for port in (ours, node):  # the peers share a table
            load.run(load.Plan(port=port, requests=webhooks(stage, users, _USERS)[0], connections=16, seconds=60))
        plans = {
            name: partial(load.Plan, port=port, requests=reads(sent, path), connections=32, cycle=True)
            for name, port, path, sent in (
                ("auth-service", ours, "/v1/me", tokens),
                ("auth-service, each token new", ours, "/v1/me", many),
                (_REFERENCE, node, "/v1/me", tokens),
                ("Express + Prisma, clerkMiddleware", node, "/v1/me-guide", tokens),
                ("FastAPI + ORM", python, "/v1/me", tokens),
            )
        }
        for plan in plans.values():
            load.run(plan(seconds=min(seconds, 4)))
        loads: dict[str, list[load.Load]] = {name: [] for name in plans}
        for _ in range(runs):
            for name, plan in plans.items():
                loads[name].append(load.run(plan(seconds=seconds)))
        for name, done in loads.items():
            yield Figure(
                what=name,
                unit="requests/s",
                runs=[loaded.rate for loaded in done],
                against=None if name == _REFERENCE else _REFERENCE,
                note=f"{done[-1].summary}; load generator {done[-1].cpu_share:.0%} of a core",
            )
