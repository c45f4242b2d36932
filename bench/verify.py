"""What verifying a session token costs, beside the signature check that it cannot do without."""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from anomalyze_auth import PemKey, SessionVerifier
from bench.figures import Figure
from bench.requests import session_tokens, user_ids
from bench.stage import ISSUER, Stage
from devkit.local.keys import public_half

_BARE = "jwt.decode, RS256, key at hand"


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare µs a token in this process, all taking turns on the same tokens."""
    rounds, count = (5, 400) if quick else (15, 2_000)
    tokens = session_tokens(stage, user_ids(stage, count))
    pem = public_half(stage.keys.private_key)
    key = load_pem_public_key(pem.encode())
    seen = SessionVerifier(PemKey(pem), issuer=ISSUER)
    bare = partial(jwt.decode, key=key, algorithms=["RS256"])  # type: ignore[arg-type]  # it is an RSA key
    ways: dict[str, Callable[[], None]] = {
        _BARE: lambda: _each(bare, tokens),
        "jwt.decode, RS256, key as PEM text": lambda: _each(partial(jwt.decode, key=pem, algorithms=["RS256"]), tokens),
        "SessionVerifier.verify, PEM, tokens it has not seen": lambda: asyncio.run(
            _verify(SessionVerifier(PemKey(pem), issuer=ISSUER), tokens)
        ),
        "SessionVerifier.verify, PEM, tokens it has seen": lambda: asyncio.run(_verify(seen, tokens)),
    }
    asyncio.run(_verify(seen, tokens))
    costs: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            costs[way].append((time.perf_counter() - began) / count * 1e6)
    for way, runs in costs.items():
        yield Figure(what=way, unit="µs", runs=runs, against=None if way == _BARE else _BARE)


def _each(check: Callable[[str], object], tokens: list[str]) -> None:
    for token in tokens:
        check(token)


async def _verify(verifier: SessionVerifier, tokens: list[str]) -> None:
    for token in tokens:
        await verifier.verify(token)
