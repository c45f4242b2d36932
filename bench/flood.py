"""Valid requests while 32 connections send garbage tokens, and what that makes the service ask of Clerk."""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import RSAAlgorithm

from bench import attacks, load
from bench.figures import Figure, percentile
from bench.requests import reads, session_tokens, user_ids, webhooks
from bench.stage import Stage
from devkit.local.keys import new_keys, public_half

_KEY_ID = "ins_local"
_USERS = 500

_UNDER_WAY_S = 1.5
"""Until the flood has begun: before it, answers are fast, and there would be many of them."""


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare the p50 of valid requests, few and many of them, with and without the flood."""
    seconds = 5 if quick else 20
    users = user_ids(stage, _USERS)
    valid = reads(session_tokens(stage, users))
    floods = {"garbage": reads(_garbage(stage, users)), "unknown key ids": reads(_unknown_keys(users))}
    url = stage.database("bench_flood")
    with _jwks(stage) as (jwks_url, fetches), stage.serve(url, CLERK_JWKS_URL=jwks_url) as (port, _):
        load.run(load.Plan(port=port, requests=webhooks(stage, users, _USERS)[0], connections=16, seconds=60))
        load.run(load.Plan(port=port, requests=valid, connections=32, seconds=5))
        for what, rate, connections in (("100/s", 100.0, 8), ("32 connections", None, 32)):
            plan = partial(load.Plan, port=port, requests=valid, connections=connections, rate=rate, cycle=True)
            alone = load.run(plan(seconds=seconds))
            name = f"valid at {what}"
            yield Figure(what=name, unit="ms (p50)", runs=[_p50(alone)], note=f"{alone.summary}, {alone.rate:,.0f}/s")
            for kind, requests in floods.items():
                before = len(fetches)
                flood = load.Running(
                    load.Plan(port=port, requests=requests, connections=32, seconds=seconds, cycle=True)
                )
                time.sleep(_UNDER_WAY_S)
                during = load.run(plan(seconds=seconds - _UNDER_WAY_S - 1))
                sent = flood.result()
                note = f"{during.summary}; flood {sent.rate:,.0f}/s, answers {sent.statuses}"
                yield Figure(
                    what=f"{name}, flood of {kind}",
                    unit="ms (p50)",
                    runs=[_p50(during)],
                    against=name,
                    note=f"{note}; {len(fetches) - before} JWKS fetches",
                )
    yield from attacks.measure(stage, quick=quick)


def _p50(loaded: load.Load) -> float:
    return percentile(sorted(loaded.latencies_ms), 0.5)


def _garbage(stage: Stage, users: list[str]) -> list[str]:
    """Noise, wrong signatures, and the public key taken for an HMAC secret: nothing that only Clerk could judge."""
    genuine = session_tokens(stage, users)
    forged = session_tokens(stage, users, private_key=new_keys().private_key)
    noise = [f"{secrets.token_urlsafe(40)}.{secrets.token_urlsafe(300)}.{secrets.token_urlsafe(256)}" for _ in users]
    confused = [jwt.encode({"sub": user}, "x" * 32, headers={"kid": _KEY_ID}) for user in users]
    cut = [token[: len(token) // 2] for token in genuine]
    return [token for kinds in zip(noise, forged, confused, cut, strict=True) for token in kinds]


def _unknown_keys(users: list[str]) -> list[str]:
    key = new_keys().private_key
    return [jwt.encode({"sub": user}, key, "RS256", headers={"kid": secrets.token_hex(8)}) for user in users]


@contextmanager
def _jwks(stage: Stage) -> Iterator[tuple[str, list[str]]]:
    """Serve the public key as Clerk does; yields the address, and a list that grows with each fetch."""
    key = load_pem_public_key(public_half(stage.keys.private_key).encode())
    assert isinstance(key, RSAPublicKey)  # noqa: S101
    entry = {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": _KEY_ID, "use": "sig", "alg": "RS256"}
    body = json.dumps({"keys": [entry]}).encode()
    fetches: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name for it
            fetches.append(self.path)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json", fetches
    finally:
        server.shutdown()
