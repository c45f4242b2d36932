"""Honest requests, each on a connection of its own, while somebody makes the service read, parse or hold something."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from attrs import define

from bench.crowd import Crowd, Gathered, Seen
from bench.figures import Figure, percentile, percentiles
from bench.requests import reads, session_tokens, user_ids, webhooks
from bench.stage import Child, Stage

RATE = 100.0
PARTY = "https://app.bench.example"
"""Configured, or no cookie would be looked at."""
_USERS = 200
_UNDER_WAY_S = 5.0
_SAMPLE_S = 0.05

_POST = b"POST /webhooks/clerk HTTP/1.1\r\nhost: x\r\n"
_BODY = 1024 * 1024


@define
class _Memory:
    """The most that the worker processes held at one time, MiB."""

    peak: float = 0.0


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Compare p50 and p99 of honest requests at 100/s with and without each attack, and tell the memory."""
    rounds, seconds = (1, 4) if quick else (3, 8)
    url = stage.database("bench_attacks")
    users = user_ids(stage, _USERS)
    with stage.serve(url, CLERK_AUTHORIZED_PARTIES=PARTY) as (port, child):
        Gathered(Crowd(port, webhooks(stage, users, _USERS)[0], 4.0, rate=RATE)).result()
        Gathered(Crowd(port, _honest(stage, users), 3.0, rate=RATE)).result()
        (account,) = reads(session_tokens(stage, users[:1], authorized_party=PARTY), f"/v1/verify?{'a&' * 28_500}")
        runs: dict[str, list[tuple[Seen, Seen | None, float]]] = {}
        for _ in range(rounds):
            honest = _honest(stage, users)  # signatures are good for five minutes
            attacks = _attacks(port, seconds + _UNDER_WAY_S + 1, account)
            for name, attack in {"honest at 100/s": None, **attacks}.items():
                with _watched(child) as memory:
                    attackers = Gathered(attack) if attack else None
                    time.sleep(_UNDER_WAY_S)
                    seen = Gathered(Crowd(port, honest, seconds, rate=RATE)).result()
                    met = attackers.result() if attackers else None
                runs.setdefault(name, []).append((seen, met, memory.peak))
                time.sleep(1)
    for name, results in runs.items():
        latencies = [sorted(seen.latencies_ms) for seen, _, _ in results]
        seen, met, _ = results[-1]
        note = f"{percentiles(seen.latencies_ms)}; answers {seen.answers}; attackers met {met.answers if met else {}}"
        against = None if name == "honest at 100/s" else "honest at 100/s"
        for share in (0.5, 0.99):
            yield Figure(
                what=f"{name}, p{share * 100:.0f}",
                unit="ms",
                runs=[percentile(ordered, share) for ordered in latencies],
                against=against and f"{against}, p{share * 100:.0f}",
                note=note if share == 0.5 else "",  # noqa: PLR2004
            )
        yield Figure(what=f"{name}, memory", unit="MiB", runs=[peak for *_, peak in results])


def _honest(stage: Stage, users: list[str]) -> list[bytes]:
    """A delivery for every three reads."""
    mixed = []
    asked = reads(session_tokens(stage, users, authorized_party=PARTY))
    for number, delivery in enumerate(webhooks(stage, users, 2 * _USERS)[0]):
        mixed += [delivery, *(asked[(3 * number + more) % len(asked)] for more in range(3))]
    return mixed


def _attacks(port: int, seconds: float, account: bytes) -> dict[str, Crowd]:
    """What takes nothing but connections, and for the query an account: it is read behind a good token."""
    now = int(time.time())
    signature = b"svix-id: msg_1\r\nsvix-timestamp: %d\r\nsvix-signature: v1,%s=\r\n" % (now, b"A" * 43)
    cookie = b"GET /v1/me HTTP/1.1\r\nhost: x\r\ncookie: " + b";" * 60_000 + b"\r\n\r\n"
    upload = _POST + signature + b"content-length: %d\r\n\r\n" % _BODY + b"x" * (_BODY - 1)
    half = b"GET /v1/me HTTP/1.1\r\nhost: x\r\nx-half: "
    return {
        "16 clients with cookies of 60 KB": Crowd(port, [cookie], seconds, clients=16),
        "16 clients with queries of 57 KB": Crowd(port, [account], seconds, clients=16),
        "200 uploads that do not end": Crowd(port, [upload], seconds, clients=200),
        "4,000 half heads": Crowd(port, [half], seconds, clients=4000),
        "6,000 half heads of 12 KB": Crowd(port, [half + b"x" * 12_000], seconds, clients=6000),
    }


@contextmanager
def _watched(child: Child) -> Iterator[_Memory]:
    memory, over = _Memory(), threading.Event()

    def watch() -> None:
        processes = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
        while not over.wait(_SAMPLE_S):
            memory.peak = max(memory.peak, max(process.memory_info().rss for process in processes) / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()
