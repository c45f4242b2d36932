"""Forward auth over HTTP: `/v1/verify` alone and behind each proxy, beside what else verifies tokens at a proxy."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Any

from attrs import field, frozen

from bench import load
from bench.figures import Figure, percentile
from bench.peers import express_forward_auth, oauth2_proxy
from bench.proxies import Sides, application, asking, asking_nobody, proxy, verifying_itself
from bench.requests import reads, session_tokens, user_ids, webhooks
from bench.stage import Child, Stage
from support.proxies import CACHING, CONFIGURATIONS

_USERS = 500
_PARTY = "https://app.bench.example"
_RATE, _RATE_CONNECTIONS = 300.0, 8
"""Requests a second whose latencies are compared: few enough that none waits for another."""
_AT_RATE = f"at {_RATE:.0f}/s"
_CONNECTIONS = 32
_CACHED = 4096
"""Tokens, as `serve` remembers."""


@frozen(kw_only=True)
class Way:
    """One way to let a request through.

    Attributes:
        name: of its row.
        port: of the proxy, or of what is asked alone.
        parts: the processes whose CPU it takes, by their names.
        without: the way it is compared with: the same proxy, asking nobody.
    """

    name: str
    port: int
    parts: Mapping[str, Child]
    path: str = "/"
    without: str | None = None


@frozen
class Measured:
    """What came of one way, a number each round."""

    rates: list[float] = field(factory=list)
    p50_ms: list[float] = field(factory=list)
    p99_ms: list[float] = field(factory=list)
    cpu_us: dict[str, list[float]] = field(factory=dict)


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare latencies at a low rate, requests/s and CPU at 32 connections; all ways take turns."""
    rounds, seconds = (1, 1.0) if quick else (3, 2.0)
    users = user_ids(stage, _USERS)
    url = stage.database("bench_verify_http")
    with ExitStack() as exits:
        port, serve = exits.enter_context(stage.serve(url, CLERK_AUTHORIZED_PARTIES=_PARTY))
        load.run(load.Plan(port=port, requests=webhooks(stage, users, _USERS)[0], connections=16, seconds=60))
        tokens = session_tokens(stage, users, authorized_party=_PARTY)
        ways = _ways(stage, exits, port, serve, tokens)
        measured = {way.name: Measured() for way in ways}
        for _ in range(rounds):
            for way in ways:
                _measure(way, tokens, seconds, measured[way.name])
    for way in ways:
        yield from _figures(way, measured)


def _ways(stage: Stage, exits: ExitStack, port: int, serve: Child, tokens: Sequence[str]) -> list[Way]:
    app, nginx = exits.enter_context(application(stage))
    ways = [
        Way(name="the application alone", port=app, parts={"application": nginx}),
        Way(name="/v1/verify alone", port=port, path="/v1/verify", parts={"auth-service": serve}),
        Way(
            name="/v1/verify?active=true alone", port=port, path="/v1/verify?active=true", parts={"auth-service": serve}
        ),
    ]

    def add(proxy_name: str, name: str, endpoint: Mapping[str, Child], *, asked: int = port, **changes: Any) -> None:
        sides = Sides(service=asked, application=app, token=tokens[0])
        here, child = exits.enter_context(proxy(stage, proxy_name, sides, **changes))
        label = proxy_name.partition("-")[0]
        without = f"{label}, no check" if name != "no check" else None
        ways.append(Way(name=f"{label}, {name}", port=here, parts={label: child, **endpoint}, without=without))

    ours = {"auth-service": serve}
    for name in CONFIGURATIONS:
        add(name, "no check", {}, edit=asking_nobody(name))
        add(name, "/v1/verify", ours, active=False)
        add(name, "/v1/verify?active=true", ours)
    add(CACHING, "/v1/verify, cached verdicts", ours)
    key = stage.keys.private_key
    add("envoy", "jwt_authn", {}, edit=verifying_itself(key))
    add("envoy", f"jwt_authn, cache of {_CACHED} tokens", {}, edit=verifying_itself(key, cached=_CACHED))
    clerk, node = exits.enter_context(express_forward_auth(stage))
    add("nginx", "Clerk's Express middleware", {"node": node}, asked=clerk, edit=asking("/verify"))
    if peer := exits.enter_context(oauth2_proxy(stage, _PARTY)):
        edit = asking("/oauth2/auth", user_header="x_auth_request_user")
        add("nginx", "oauth2-proxy", {"oauth2-proxy": peer[1]}, asked=peer[0], edit=edit)
    else:
        print("oauth2-proxy is not measured: there is no Go to build it with", file=sys.stderr)
    return ways


def _measure(way: Way, tokens: Sequence[str], seconds: float, measured: Measured) -> None:
    # Each token once: what remembers tokens or verdicts may have forgotten them since the last round.
    _sent(way, tokens, load.Plan(port=way.port, requests=[], connections=_RATE_CONNECTIONS, seconds=30))
    plan = partial(load.Plan, port=way.port, requests=[], seconds=seconds, cycle=True)
    latencies = sorted(_sent(way, tokens, plan(connections=_RATE_CONNECTIONS, rate=_RATE)).latencies_ms)
    measured.p50_ms.append(percentile(latencies, 0.5))
    measured.p99_ms.append(percentile(latencies, 0.99))
    before = {name: child.cpu_seconds() for name, child in way.parts.items()}
    done = _sent(way, tokens, plan(connections=_CONNECTIONS))
    measured.rates.append(done.rate)
    for name, child in way.parts.items():
        cost = (child.cpu_seconds() - before[name]) / len(done.latencies_ms) * 1e6
        measured.cpu_us.setdefault(name, []).append(cost)


def _sent(way: Way, tokens: Sequence[str], plan: load.Plan) -> load.Load:
    """Send what the plan says with these tokens.

    Raises:
        RuntimeError: an answer was not 200.
    """
    plan.requests = reads(tokens, way.path)
    done = load.run(plan)
    if set(done.statuses) != {"200"}:
        raise RuntimeError(f"{way.name}: {done.statuses}")
    return done


def _figures(way: Way, measured: Mapping[str, Measured]) -> Iterator[Figure]:
    found = measured[way.name]
    costs = ", ".join(f"{name} {median(runs):.0f}" for name, runs in found.cpu_us.items())
    yield Figure(
        what=way.name, unit="requests/s", runs=found.rates, against=way.without, note=f"CPU a request, µs: {costs}"
    )
    if way.without is None:
        yield Figure(what=f"{way.name}, p50", unit="ms", runs=found.p50_ms, note=_AT_RATE)
        yield Figure(what=f"{way.name}, p99", unit="ms", runs=found.p99_ms, note=_AT_RATE)
        return
    bare = measured[way.without]
    for name, runs, theirs in (("p50", found.p50_ms, bare.p50_ms), ("p99", found.p99_ms, bare.p99_ms)):
        added = [own - other for own, other in zip(runs, theirs, strict=True)]
        note = f"{median(runs):.2f} ms, {_AT_RATE}"
        yield Figure(what=f"{way.name}, added {name}", unit="ms", runs=added, note=note)
