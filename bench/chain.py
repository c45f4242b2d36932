"""The way of a webhook to a consumer, of checkouts and of a dual write in turn: how long it takes, and what it costs.

Latencies depend on what else the machine does, CPU times of `serve` and of the relay hardly do.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec
from attrs import frozen

from bench import load
from bench.consume import Consumer
from bench.figures import Figure, percentile
from bench.latency import CONNECTIONS, Service, send
from bench.peers import USERS, express
from bench.requests import user_ids, webhooks
from bench.stage import PYTHON, ROOT, Child, Stage

_RATES = (5, 100, 600)
_CONNECTED = "1 connection"


class _Side(Protocol):
    """What takes its turn."""

    @property
    def name(self) -> str: ...

    def chain(self, rate: int, seconds: float) -> Mapping[str, float]:
        """Send at this rate; return p50 and p99 in ms, and the µs of CPU that its processes take for an event."""
        ...

    def alone(self, count: int) -> Mapping[str, float]:
        """Send one webhook after the other; return webhooks/s, and the median of their latencies in ms."""
        ...


@frozen
class _Checkout:
    """A checkout whose `serve` and `relay` run, with a database and a topic of their own."""

    name: str
    service: Service
    serve: Child
    relay: Child

    def chain(self, rate: int, seconds: float) -> Mapping[str, float]:
        before = self.relay.cpu_seconds(), self.serve.cpu_seconds()
        latencies = send(self.service, rate, seconds)[1]
        spent = self.relay.cpu_seconds() - before[0], self.serve.cpu_seconds() - before[1]
        relay, serve = (seconds * 1e6 / len(latencies) for seconds in spent)
        return _shares(latencies) | {"CPU of the relay, µs an event": relay, "CPU of serve, µs an event": serve}

    def alone(self, count: int) -> Mapping[str, float]:
        done = _one_by_one(self.service.stage, self.service.url, self.service.port, count)
        self.service.stage.wait_until_none(self.service.url, "outbox")
        return done


@frozen
class _DualWrite:
    """Express + Prisma: the row, then Kafka, then the answer."""

    name: str
    service: Service
    serve: Child

    def chain(self, rate: int, seconds: float) -> Mapping[str, float]:
        stage, count, before = self.service.stage, int(rate * seconds), self.serve.cpu_seconds()
        requests, news = webhooks(stage, user_ids(stage, max(count // 4, 1)), count)
        consumer = Consumer(stage.kafka.bootstrap_servers, self.service.topic)
        plan = load.Plan(
            port=self.service.port, requests=requests, connections=CONNECTIONS, rate=rate, seconds=seconds + 5
        )
        loaded = load.run(plan)
        time.sleep(0.5)  # all are acknowledged, hence in Kafka
        due = dict(zip(news, loaded.due_s, strict=False))
        latencies = []
        for arrival in consumer.stop():
            changed = datetime.fromisoformat(msgspec.json.decode(arrival.value)["user"]["updatedAt"]).timestamp()
            latencies.append((arrival.at - due[arrival.key, round(changed * 1000)]) * 1000)
        if len(latencies) != count:
            raise RuntimeError(f"{len(latencies)} of {count} arrived, answers {loaded.statuses}")
        spent = (self.serve.cpu_seconds() - before) * 1e6 / count
        return _shares(latencies) | {"CPU of serve, µs an event": spent}

    def alone(self, count: int) -> Mapping[str, float]:
        return _one_by_one(self.service.stage, self.service.url, self.service.port, count)


def _shares(latencies: Sequence[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {"p50, ms": percentile(ordered, 0.5), "p99, ms": percentile(ordered, 0.99)}


def _one_by_one(stage: Stage, url: str, port: int, count: int) -> dict[str, float]:
    stage.settle(url, "users")
    requests, _ = webhooks(stage, user_ids(stage, count // 4), count)
    done = load.run(load.Plan(port=port, requests=requests, connections=1, seconds=60))
    return {"rate, webhooks/s": done.rate, "p50, ms": percentile(sorted(done.latencies_ms), 0.5)}


def measure(stage: Stage, *, quick: bool, against: Sequence[Path] = ()) -> Iterator[Figure]:
    """Compare at some rates, and with one webhook after the other; all take turns."""
    rounds, seconds, count = (2, 5, 500) if quick else (5, 10, 2_000)
    with ExitStack() as exits:
        sides: list[_Side] = [
            _checkout(stage, exits, path.resolve(), number) for number, path in enumerate((*against, ROOT))
        ]
        sides.append(_dual_write(stage, exits))
        for side in sides:
            side.chain(400, seconds)  # Java compiles what it has run a few thousand times
        for rate in _RATES:
            runs = [[side.chain(rate, seconds) for side in sides] for _ in range(rounds)]
            yield from _figures(f"{rate}/s", sides, runs)
        yield from _figures(_CONNECTED, sides, [[side.alone(count) for side in sides] for _ in range(rounds)])


def _dual_write(stage: Stage, exits: ExitStack) -> _DualWrite:
    url, topic = stage.database("bench_chain_peer", ours=False), stage.topic("bench-chain-peer")
    stage.sql(url, USERS)
    port, serve = exits.enter_context(express(stage, url, topic))
    return _DualWrite("Express + Prisma", Service(stage, url, topic, port), serve)


def _checkout(stage: Stage, exits: ExitStack, checkout: Path, number: int) -> _Checkout:
    python = PYTHON if checkout == ROOT else checkout / ".venv/bin/python"
    url, topic = stage.database(f"bench_chain_{number}", ours=False), stage.topic(f"bench-chain-{number}")
    stage.migrate(url, python)
    port, serve = exits.enter_context(stage.serve(url, python=python))
    relay = exits.enter_context(stage.relay(url, topic, python=python))
    return _Checkout(checkout.name, Service(stage, url, topic, port), serve, relay)


def _figures(what: str, sides: Sequence[_Side], runs: Sequence[Sequence[Mapping[str, float]]]) -> Iterator[Figure]:
    for described in runs[0][0]:
        kind, _, unit = described.partition(", ")
        first = f"{what}, {kind}, {sides[0].name}"
        for number, side in enumerate(sides):
            done = [turn[number][described] for turn in runs if described in turn[number]]
            name = f"{what}, {kind}, {side.name}"
            if done:
                yield Figure(what=name, unit=unit, runs=done, against=None if name == first else first)
