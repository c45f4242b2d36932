"""The way of a webhook to a consumer, of this checkout and of others in turn: how long it takes, and what it costs.

Latencies depend on what else the machine does, CPU times of `serve` and of the relay hardly do.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import frozen

from bench import load
from bench.figures import Figure, percentile
from bench.latency import Service, send
from bench.requests import user_ids, webhooks
from bench.stage import PYTHON, ROOT, Child, Stage

_RATES = (5, 100, 600)
_CONNECTED = "1 connection"


@frozen
class _Side:
    """A checkout whose `serve` and `relay` run, with a database and a topic of their own."""

    name: str
    service: Service
    serve: Child
    relay: Child

    def chain(self, rate: int, seconds: float) -> list[float]:
        """Send at this rate; return p50 and p99 in ms, and the µs of CPU that a relay and `serve` take for an event."""
        before = self.relay.cpu_seconds(), self.serve.cpu_seconds()
        latencies = sorted(send(self.service, rate, seconds)[1])
        spent = self.relay.cpu_seconds() - before[0], self.serve.cpu_seconds() - before[1]
        used = [seconds * 1e6 / len(latencies) for seconds in spent]
        return [percentile(latencies, 0.5), percentile(latencies, 0.99), *used]

    def alone(self, count: int) -> list[float]:
        """Send one webhook after the other; return webhooks/s, and the median of their latencies in ms."""
        stage, port = self.service.stage, self.service.port
        stage.settle(self.service.url, "users")
        requests, _ = webhooks(stage, user_ids(stage, count // 4), count)
        done = load.run(load.Plan(port=port, requests=requests, connections=1, seconds=60))
        stage.wait_until_none(self.service.url, "outbox")
        return [done.rate, percentile(sorted(done.latencies_ms), 0.5)]


def measure(stage: Stage, *, quick: bool, against: Sequence[Path] = ()) -> Iterator[Figure]:
    """Compare at some rates, and with one webhook after the other; the checkouts take turns."""
    rounds, seconds, count = (2, 5, 500) if quick else (5, 10, 2_000)
    with ExitStack() as exits:
        sides = [_side(stage, exits, path.resolve(), number) for number, path in enumerate((*against, ROOT))]
        for made in sides:
            made.chain(400, seconds)  # Java compiles what it has run a few thousand times
        for rate in _RATES:
            runs = [[made.chain(rate, seconds) for made in sides] for _ in range(rounds)]
            kinds = (("p50", "ms"), ("p99", "ms"), ("CPU of the relay", "µs an event"), ("CPU of serve", "µs an event"))
            yield from _figures(f"{rate}/s", kinds, sides, runs)
        runs = [[made.alone(count) for made in sides] for _ in range(rounds)]
        yield from _figures(_CONNECTED, (("rate", "webhooks/s"), ("p50", "ms")), sides, runs)


def _side(stage: Stage, exits: ExitStack, checkout: Path, number: int) -> _Side:
    python = PYTHON if checkout == ROOT else checkout / ".venv/bin/python"
    url, topic = stage.database(f"bench_chain_{number}", ours=False), stage.topic(f"bench-chain-{number}")
    stage.migrate(url, python)
    port, serve = exits.enter_context(stage.serve(url, python=python))
    relay = exits.enter_context(stage.relay(url, topic, python=python))
    return _Side(checkout.name, Service(stage, url, topic, port), serve, relay)


def _figures(
    what: str, kinds: Sequence[tuple[str, str]], sides: Sequence[_Side], runs: Sequence[Sequence[Sequence[float]]]
) -> Iterator[Figure]:
    for at, (kind, unit) in enumerate(kinds):
        first = f"{what}, {kind}, {sides[0].name}"
        for number, made in enumerate(sides):
            name = f"{what}, {kind}, {made.name}"
            done = [round_[number][at] for round_ in runs]
            yield Figure(what=name, unit=unit, runs=done, against=None if name == first else first)
