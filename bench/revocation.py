"""From a sign-out's webhook sent until its event is at an outside consumer, and until a service there refuses it.

With other webhooks beside it; and with Kafka away, when what counts is how many verifications accepted the session
although its webhook was answered.
"""

import asyncio
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
from bench.revoked_consumer import DUE_S, Refusal, token_of
from bench.revoked_consumer import Service as Consuming
from bench.stage import ISSUER, Stage
from devkit.local.keys import public_half

BESIDE = 600
"""Webhooks of users a second, all the time."""

_CONNECTIONS = 16
_REVOKED_PER_S = 50
_IN_AN_OUTAGE = 20


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

        yield from _refusals(service, [count] * runs)
        yield from _in_an_outage(service, 20 if quick else 30)


def _refusals(service: Service, counts: Sequence[int]) -> Iterator[Figure]:
    """From a webhook's first byte sent until another process refuses the session's token."""
    latencies, late = list[list[float]](), list[float]()
    for count in counts:
        consuming = _consuming(service, "refuse", 0.001)
        try:
            noise = _changes(service, count / _REVOKED_PER_S + 2)
            sent = asyncio.run(_sign_out(service, [consuming], count, 1 / _REVOKED_PER_S))
            refused = consuming.refused(count)
            noise.result()
        finally:
            consuming.stop()
        latencies.append(sorted((refused[session].at - at) * 1000 for session, at in sent.items()))
        late.append(sum(refused[session].accepted_after(at + DUE_S) for session, at in sent.items()))
    for share in (0.5, 0.95, 0.99, 1.0):
        yield Figure(
            what=f"webhook to refusal in another process, 50/s, {BESIDE} changes/s beside, p{share * 100:.0f}",
            unit="ms",
            runs=[percentile(ordered, share) for ordered in latencies],
            note=f"{counts[-1]:,} revocations a run",
        )
    yield Figure(
        what=f"verifications that accepted one more than {DUE_S * 1000:.0f} ms after its webhook",
        unit="",
        runs=late,
        note="each session asked about once a millisecond",
    )


def _in_an_outage(service: Service, seconds: float) -> Iterator[Figure]:
    """Sessions end while Kafka is away; the relay lives."""
    consuming = {when_stale: _consuming(service, when_stale, 0.01) for when_stale in ("refuse", "allow")}
    kafka = service.stage.kafka
    try:
        kafka.kill()
        gone = time.monotonic()
        sent = asyncio.run(_sign_out(service, [*consuming.values()], _IN_AN_OUTAGE, 0.01))
        time.sleep(max(gone + seconds - time.monotonic(), 0))
        kafka.start()
        for when_stale, each in consuming.items():
            refused = each.refused(_IN_AN_OUTAGE)
            late = sum(refused[session].accepted_after(at + DUE_S) for session, at in sent.items())
            last = max(_last_accepted(refused[session], at) for session, at in sent.items())
            again = each.accepted(100 * _IN_AN_OUTAGE)
            yield Figure(
                what=f"verifications that accepted one, Kafka away for {seconds:.0f} s, when_stale={when_stale}",
                unit="",
                runs=[late],
                note=f"{_IN_AN_OUTAGE} sessions, each asked about 100 times a second; the last {last:.1f} s after its"
                f" webhook; then {again} of {100 * _IN_AN_OUTAGE:,}",
            )
    finally:
        for each in consuming.values():
            each.stop()


def _last_accepted(refusal: Refusal, sent_at: float) -> float:
    return max(refusal.accepted, default=sent_at) - sent_at


def _consuming(service: Service, when_stale: str, every_s: float) -> Consuming:
    topics, pem = (service.topic, service.users_topic), public_half(service.stage.keys.private_key)
    return Consuming(service.stage.kafka.bootstrap_servers, *topics, pem, ISSUER, when_stale, every_s)


def _changes(service: Service, seconds: float) -> load.Running:
    count = int(BESIDE * seconds)
    requests, _ = webhooks(service.stage, user_ids(service.stage, count // 4), count)
    plan = load.Plan(port=service.port, requests=requests, connections=_CONNECTIONS, rate=BESIDE, seconds=seconds + 5)
    changes = load.Running(plan)
    time.sleep(1)  # it goes on when the first session ends
    return changes


async def _sign_out(service: Service, consuming: Sequence[Consuming], count: int, every_s: float) -> dict[str, float]:
    """End `count` sessions, each watched a moment before, and return when each webhook was sent."""
    users = user_ids(service.stage, count)
    requests, sessions = session_ends(service.stage, users)
    tokens = [token_of(service.stage, *names) for names in zip(users, sessions, strict=True)]
    at: dict[str, float] = {}
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    due = time.perf_counter()
    for request, session_id, token in zip(requests, sessions, tokens, strict=True):
        due += every_s
        for each in consuming:
            each.watch(session_id, token)
        await asyncio.sleep(max(due - time.perf_counter(), 0.005))
        at[session_id] = time.time()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        if b'"revoked"' not in await reader.readexactly(length):
            raise RuntimeError("a webhook was not answered with revoked")
    writer.close()
    return at


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
