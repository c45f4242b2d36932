"""From a sign-out's webhook sent until its event is at an outside consumer, with other webhooks beside it.

`revocations` is for whoever measures further: it yields each revocation with the time of its webhook, and the service
runs meanwhile. What a consumer does with the event (refuse the session's tokens) is measured on top of it.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import frozen

from application.relay.topics import SESSIONS
from bench import load
from bench.consume import Consumer
from bench.figures import Figure, percentile
from bench.requests import session_ends, user_ids, webhooks
from bench.stage import Stage

BESIDE = 600
"""Webhooks of users a second, all the time."""

_CONNECTIONS = 16


@frozen
class Revocation:
    """A session that ended."""

    session_id: str
    user_id: str
    sent_at: float
    """When its webhook was due to be sent, seconds since 1970."""


@frozen
class Service:
    """A `serve` and a `relay` that run, and where session events come out."""

    stage: Stage
    port: int
    url: str
    topic: str
    users_topic: str


@contextmanager
def running(stage: Stage) -> Iterator[Service]:
    """Run the service on an empty database and new topics."""
    url, users = stage.database("bench_revocation"), stage.topic("bench-revocation-users")
    topic = stage.topic("bench-revocation", SESSIONS)
    with stage.serve(url) as (port, _), stage.relay(url, users, KAFKA_SESSION_EVENTS_TOPIC=topic):
        yield Service(stage, port, url, topic, users)


def revocations(service: Service, *, count: int, rate: float, beside: int = BESIDE) -> Iterator[Revocation]:
    """Revoke sessions at `rate` a second with `beside` changes of users a second, then yield what was sent and when.

    Raises:
        RuntimeError: a webhook was not answered with 200, or a revocation not with `revoked`.
    """
    stage, seconds = service.stage, count / rate
    noise = int(beside * (seconds + 2))
    users = user_ids(stage, count)
    requests, sessions = session_ends(stage, users)
    changes = None
    if noise:
        changed, _ = webhooks(stage, user_ids(stage, max(noise // 4, 1)), noise)
        changes = load.Running(
            load.Plan(
                port=service.port, requests=changed, connections=_CONNECTIONS, rate=beside, seconds=noise / beside + 5
            )
        )
        time.sleep(1)  # it goes on when the first session ends
    ended = load.run(
        load.Plan(port=service.port, requests=requests, connections=_CONNECTIONS, rate=rate, seconds=seconds + 5)
    )
    besides = changes.result() if changes else None
    answers = Counter(ended.short)
    if answers != {'{"outcome":"revoked"}': count} or (besides and set(besides.statuses) != {"200"}):
        raise RuntimeError(f"answers {answers}, beside it {besides and besides.statuses}")
    for user_id, session_id, sent_at in zip(users, sessions, ended.due_s, strict=True):
        yield Revocation(session_id, user_id, sent_at)


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Measure 1,000 revocations at 50/s with 600/s beside them, then a flood of 1,000/s."""
    runs, count = (1, 200) if quick else (3, 1_000)
    with running(stage) as service:
        [*revocations(service, count=200, rate=100)]  # warm up
        yield from _figures("50/s, 600 changes/s beside", [_latencies(service, count, 50) for _ in range(runs)])
        flood = 1_000 * (2 if quick else 10)
        done = [_latencies(service, flood, 1_000, beside=0) for _ in range(runs)]
        yield from _figures("1,000/s, nothing beside", done)


def _latencies(service: Service, count: int, rate: float, beside: int = BESIDE) -> list[float]:
    """Return for each revocation the milliseconds from its webhook to its event at a consumer.

    Raises:
        RuntimeError: an event is missing.
    """
    consumer = Consumer(service.stage.kafka.bootstrap_servers, service.topic)
    sent = [*revocations(service, count=count, rate=rate, beside=beside)]
    service.stage.wait_until_none(service.url, "outbox")
    time.sleep(0.5)
    arrived: dict[str, float] = {}
    for arrival in consumer.stop():
        arrived.setdefault(arrival.key, arrival.at)
    missing = [revocation for revocation in sent if revocation.session_id not in arrived]
    if missing:
        raise RuntimeError(f"{len(missing)} of {count} events did not arrive")
    return [(arrived[revocation.session_id] - revocation.sent_at) * 1000 for revocation in sent]


def _figures(what: str, done: Sequence[Sequence[float]]) -> Iterator[Figure]:
    for share in (0.5, 0.95, 0.99):
        yield Figure(
            what=f"webhook to consumer, {what}, p{share * 100:.0f}",
            unit="ms",
            runs=[percentile(sorted(latencies), share) for latencies in done],
            note=f"{len(done[-1]):,} revocations a run",
        )
