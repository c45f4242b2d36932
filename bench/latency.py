"""From a webhook's first byte sent until an outside consumer has its event; and how many a second that goes on with."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from attrs import frozen

from bench import floor, load
from bench.consume import Arrival, Consumer
from bench.figures import Figure, percentile, percentiles
from bench.peers import relays
from bench.requests import user_ids, webhooks
from bench.stage import Stage

CONNECTIONS = 32
_RAMP = (1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000)
_BUSY = 600
_BARE = "bare parts of one webhook, idle"
_KEEPS_UP_MS = 1_000
"""A rate is sustained when nearly all (p99) events arrive within this time."""


@frozen
class Service:
    """A `serve` and a `relay` that run."""

    stage: Stage
    url: str
    topic: str
    port: int


def measure(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Measure idle (one webhook each 200 ms), at `_BUSY` a second, and rising rates until it does not keep up."""
    runs, seconds, idle_s = (1, 5, 8) if quick else (3, 20, 20)
    url, topic = stage.database("bench_latency"), stage.topic("bench-latency")
    with stage.serve(url) as (port, serve), stage.relay(url, topic) as relay:
        service = Service(stage, url, topic, port)
        send(service, 400, 3 if quick else 15)  # warm up: Java compiles what it has run a few thousand times
        yield from _figures("idle, 5/s", [send(service, 5, idle_s)[1] for _ in range(runs)], against=_BARE)
        bare = [*floor.measure(stage, url, port, quick=quick)]
        yield from bare
        yield _sum_of_parts(bare)
        busy = [serve.cpu_seconds(), relay.cpu_seconds()]
        done = [send(service, _BUSY, seconds)[1] for _ in range(runs)]
        shares = [
            (child.cpu_seconds() - before) / seconds / runs for child, before in zip((serve, relay), busy, strict=True)
        ]
        note = "; CPU: serve {:.0%}, relay {:.0%} of a core".format(*shares)
        note += f", relay {shares[1] / _BUSY * 1e6:.0f} µs an event"
        yield from _figures("600/s", done, note)
        yield _sustained("serve with 1 worker", service, seconds=4 if quick else 8)
    url, topic = stage.database("bench_latency"), stage.topic("bench-latency-2")
    with stage.serve(url, 2) as (port, _), stage.relay(url, topic):
        yield _sustained("serve with 2 workers", Service(stage, url, topic, port), seconds=4 if quick else 8)
    yield from _peer(stage, seconds, runs)


def _figures(
    what: str, done: Sequence[Sequence[float]], note: str = "", *, against: str | None = None
) -> Iterator[Figure]:
    for share in (0.5, 0.95, 0.99):
        yield Figure(
            what=f"{what}, p{share * 100:.0f}",
            unit="ms",
            runs=[percentile(sorted(latencies), share) for latencies in done],
            against=against,
            note=f"{len(done[-1]):,} events a run{note}",
        )


def _sum_of_parts(bare: Sequence[Figure]) -> Figure:
    """Add up what one webhook has to pass: request, read, commit, notification, the relay's read, and Kafka."""
    medians = {figure.what: figure.median for figure in bare}
    parts = [
        "HTTP request to serve (/health/live)",
        "statement (SELECT 1)",
        "commit of one row (fsync)",
        "NOTIFY until heard",
        "statement (SELECT 1)",
        "Kafka message until consumed",
    ]
    total = sum(medians[f"bare {part}, idle"] for part in parts)
    return Figure(what=_BARE, unit="ms", runs=[total], note="the medians above, the statement's twice")


def _sustained(what: str, service: Service, *, seconds: int) -> Figure:
    steps, best = [], 0.0
    for rate in _RAMP:
        loaded, latencies = send(service, rate, seconds)
        steps.append(f"{rate}/s: {percentiles(latencies)}")
        if percentile(sorted(latencies), 0.99) > _KEEPS_UP_MS or loaded.seconds > seconds * 1.1:
            break
        best = len(latencies) / loaded.seconds
    return Figure(what=f"sustained, in order, {what}", unit="events/s", runs=[best], note="; ".join(steps))


def send(service: Service, rate: float, seconds: float) -> tuple[load.Load, list[float]]:
    """Send webhooks of users who change some times each; return the load, and each event's latency in ms.

    Raises:
        RuntimeError: an event is missing, or a user's are out of order.
    """
    count = int(rate * seconds)
    requests, news = webhooks(service.stage, user_ids(service.stage, max(count // 4, 1)), count)
    consumer = Consumer(service.stage.kafka.bootstrap_servers, service.topic)
    loaded = load.run(
        load.Plan(port=service.port, requests=requests, connections=CONNECTIONS, rate=rate, seconds=seconds + 5)
    )
    arrivals = _all(service, consumer, loaded)
    due = dict(zip(news, loaded.due_s, strict=False))
    return loaded, [
        (arrival.at - due[arrival.key, changed_ms]) * 1000 for arrival, changed_ms in _in_order(arrivals, loaded)
    ]


def _all(service: Service, consumer: Consumer, loaded: load.Load) -> list[Arrival]:
    """Wait for the outbox to be empty, and a moment more for the consumer."""
    if set(loaded.statuses) != {"200"}:
        raise RuntimeError(f"answers {loaded.statuses}")
    service.stage.wait_until_none(service.url, "outbox")
    time.sleep(0.5)
    return consumer.stop()


def _in_order(arrivals: Sequence[Arrival], loaded: load.Load) -> list[tuple[Arrival, int]]:
    expected = sum(loaded.short.get(f'{{"outcome":"{outcome}"}}', 0) for outcome in ("created", "updated"))
    found, last = [], dict[str, int]()
    for arrival in arrivals:
        user = msgspec.json.decode(arrival.value)["user"]
        if user["version"] != last.get(arrival.key, 0) + 1:
            raise RuntimeError(f"{arrival.key}: version {user['version']} after {last.get(arrival.key, 0)}")
        last[arrival.key] = user["version"]
        found.append((arrival, round(datetime.fromisoformat(user["updated_at"]).timestamp() * 1000)))
    if len(found) != expected:
        raise RuntimeError(f"{expected} events were stored, {len(found)} arrived")
    return found


def _peer(stage: Stage, seconds: int, runs: int) -> Iterator[Figure]:
    """Measure faststream-outbox from just before its insert: it has no HTTP in front."""
    url, topic = stage.database("bench_latency_peer", ours=False), stage.topic("bench-latency-peer")
    relays.prepare(stage, url)
    done = []
    with relays.faststream_outbox(stage, url, topic, workers=32):
        for _ in range(runs):
            consumer = Consumer(stage.kafka.bootstrap_servers, topic)
            with relays.faststream_outbox_inserts(stage, url, rate=600, seconds=seconds):
                time.sleep(seconds + 5)
            arrivals = consumer.stop()
            sent = [msgspec.json.decode(arrival.value)["user"]["updated_at"] for arrival in arrivals]
            done.append([(arrival.at - at) * 1000 for arrival, at in zip(arrivals, sent, strict=True)])
    yield from _figures("faststream-outbox, 32 workers, 600/s, from insert", done)
