"""The CPU time that `serve` takes for a request, of this checkout and of others in turn.

CPU time of the process says more than requests a second where others keep the machine busy.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from attrs import frozen

from bench import load
from bench.figures import Figure
from bench.requests import reads, session_tokens, user_ids, webhooks
from bench.stage import PYTHON, ROOT, Child, Stage

CONNECTIONS = 32
WEBHOOKS, ME, VERIFY = "webhooks", "/v1/me", "/v1/verify"
ROUTES = (WEBHOOKS, ME, VERIFY)
_USERS = 500


@frozen(kw_only=True)
class Side:
    """A checkout whose `serve` runs, with a database of its own."""

    stage: Stage
    name: str
    url: str
    port: int
    child: Child
    tokens: Sequence[str]

    def requests(self, route: str, count: int) -> list[bytes]:
        """Return requests that are answered by 200; of webhooks, each changes a user."""
        if route == WEBHOOKS:
            self.stage.settle(self.url, "outbox")
            return webhooks(self.stage, user_ids(self.stage, count // 5), count)[0]
        return (reads(self.tokens, route) * (count // len(self.tokens) + 1))[:count]

    def send(self, route: str, count: int) -> load.Load:
        """Send them.

        Raises:
            RuntimeError: an answer was not 200.
        """
        plan = load.Plan(port=self.port, requests=self.requests(route, count), connections=CONNECTIONS, seconds=120)
        done = load.run(plan)
        if set(done.statuses) != {"200"}:
            raise RuntimeError(f"{self.name}, {route}: {done.statuses}")
        return done

    def cost(self, route: str, count: int) -> float:
        """Return the µs of CPU, user's and kernel's, that a request takes."""
        before = self.child.cpu_seconds()
        self.send(route, count)
        return (self.child.cpu_seconds() - before) / count * 1e6


def side(stage: Stage, exits: ExitStack, checkout: Path = ROOT, *, number: int = 0) -> Side:
    """Start the service of a checkout by its own `.venv`, let it migrate its database, and warm it up."""
    python = PYTHON if checkout == ROOT else checkout / ".venv/bin/python"
    url = stage.database(f"bench_cost_{number}", ours=False)
    stage.migrate(url, python)
    port, child = exits.enter_context(stage.serve(url, python=python))
    users = user_ids(stage, _USERS)
    load.run(load.Plan(port=port, requests=webhooks(stage, users, _USERS)[0], connections=16, seconds=60))
    tokens = session_tokens(stage, users)
    made = Side(stage=stage, name=checkout.name, url=url, port=port, child=child, tokens=tokens)
    for route in ROUTES:
        made.send(route, 500)
    return made


def measure(stage: Stage, *, quick: bool, against: Sequence[Path] = ()) -> Iterator[Figure]:
    """Compare µs of CPU a request; the checkouts take turns."""
    rounds, count = (2, 2_000) if quick else (5, 8_000)
    with ExitStack() as exits:
        open_side = partial(side, stage, exits)
        sides = [open_side(path.resolve(), number=number) for number, path in enumerate((*against, ROOT))]
        for route in ROUTES:
            costs: dict[str, list[float]] = {made.name: [] for made in sides}
            for _ in range(rounds):
                for made in sides:
                    costs[made.name].append(made.cost(route, count))
            for name, runs in costs.items():
                first = f"{route}, {sides[0].name}"
                what = f"{route}, {name}"
                yield Figure(what=what, unit="µs", runs=runs, against=None if what == first else first)
