"""What verifying a session token costs, beside the signature check that it cannot do without."""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import jwt
import psutil
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from anomalyze_auth import PemKey, SessionVerifier
from anomalyze_auth.revocations import Revocations
from anomalyze_auth.sessions import SessionRevoked
from bench.figures import Figure
from bench.requests import session_tokens, user_ids
from bench.stage import ISSUER, Stage
from devkit.local.keys import public_half

_BARE = "jwt.decode, RS256, key at hand"
_SEEN = "SessionVerifier.verify, PEM, tokens it has seen"
_ASKING = f"{_SEEN}, with revocations"
_HELD = 330_000
"""What is kept of 1,000 a second: the window of five minutes, and a margin of 30 s."""


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare µs a token in this process, all taking turns on the same tokens."""
    rounds, count = (5, 400) if quick else (15, 2_000)
    tokens = session_tokens(stage, user_ids(stage, count))
    pem = public_half(stage.keys.private_key)
    seen = SessionVerifier(PemKey(pem), issuer=ISSUER)
    revocations = Revocations(
        stage.kafka.bootstrap_servers,
        session_topic=stage.topic("bench-verify-sessions"),
        user_topic=stage.topic("bench-verify-users"),
        stale_after=3600,  # it follows only while a loop runs, and other ways take their turns
    )
    asking = SessionVerifier(PemKey(pem), issuer=ISSUER, revocations=revocations)
    with asyncio.Runner() as runner:
        runner.run(revocations.start())
        before = psutil.Process().memory_info().rss
        for number in range(_HELD):
            event = SessionRevoked(event_id="", session_id=f"sess_{number:027}", user_id=None, revoked_at=None)
            revocations._revoked.apply(event, time.monotonic())  # noqa: SLF001  # Kafka would take a minute
        held = psutil.Process().memory_info().rss - before
        ways = _ways(pem, tokens, {_SEEN: seen, _ASKING: asking}, runner)
        costs = _costs(ways, rounds, count)
        runner.run(revocations.aclose())
    for way, runs in costs.items():
        against = {_BARE: None, _ASKING: _SEEN}.get(way, _BARE)
        yield Figure(what=way, unit="µs", runs=runs, against=against, note=_note(costs) if way == _ASKING else "")
    note = f"{held / _HELD:.0f} bytes each"
    yield Figure(what=f"memory of {_HELD:,} revoked sessions", unit="MiB", runs=[held / 2**20], note=note)


def _ways(
    pem: str, tokens: list[str], warm: dict[str, SessionVerifier], runner: asyncio.Runner
) -> dict[str, Callable[[], None]]:
    key = load_pem_public_key(pem.encode())
    bare = partial(jwt.decode, key=key, algorithms=["RS256"])  # type: ignore[arg-type]  # it is an RSA key
    for verifier in warm.values():
        runner.run(_verify(verifier, tokens))
    return {
        _BARE: lambda: _each(bare, tokens),
        "jwt.decode, RS256, key as PEM text": lambda: _each(partial(jwt.decode, key=pem, algorithms=["RS256"]), tokens),
        "SessionVerifier.verify, PEM, tokens it has not seen": lambda: asyncio.run(
            _verify(SessionVerifier(PemKey(pem), issuer=ISSUER), tokens)
        ),
        **{way: partial(_run, runner, verifier, tokens) for way, verifier in warm.items()},
    }


def _costs(ways: dict[str, Callable[[], None]], rounds: int, count: int) -> dict[str, list[float]]:
    costs: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            costs[way].append((time.perf_counter() - began) / count * 1e6)
    return costs


def _note(costs: dict[str, list[float]]) -> str:
    more = sorted(asking - seen for asking, seen in zip(costs[_ASKING], costs[_SEEN], strict=True))
    return f"{median(more):+.2f} µs, median of the rounds, with {_HELD:,} sessions held"


def _run(runner: asyncio.Runner, verifier: SessionVerifier, tokens: list[str]) -> None:
    runner.run(_verify(verifier, tokens))


def _each(check: Callable[[str], object], tokens: list[str]) -> None:
    for token in tokens:
        check(token)


async def _verify(verifier: SessionVerifier, tokens: list[str]) -> None:
    for token in tokens:
        await verifier.verify(token)
