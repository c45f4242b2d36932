"""The service over a primary that dies again and again, and how long each failover kept it from taking webhooks."""

import asyncio
import os
import random
import time
from collections.abc import Callable

from attrs import define, field

from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.migrate import migrate
from support.processes import Process
from support.replication import Pair
from support.senders import Senders

SENDERS = 32
RATE = 200 if "FAILOVERS" in os.environ else 100
"""Webhooks a second: beside other tests, so many that the machine has time for the failovers too."""


@define
class Drill:
    """A steady flow of webhooks, and failovers meanwhile."""

    pair: Pair
    dice: random.Random
    senders: Senders
    probe: Senders
    """One more sender, which never waits: the first webhook taken after a promotion is its, or nearly."""
    back_s: list[float] = field(factory=list)
    log: list[str] = field(factory=list)

    async def load(self) -> None:
        await self.senders.run(senders=SENDERS, pause=lambda: SENDERS / RATE * self.dice.uniform(0.8, 1.1))

    async def fail_over(self, break_: Callable[[], None], *, late_s: float) -> None:
        """Break the primary, promote the standby so much later, and wait until a webhook is taken."""
        began = time.monotonic()
        break_()
        await asyncio.sleep(late_s)
        await self.pair.promote()
        promoted = time.monotonic()
        await self.probe.until_taken()
        self.back_s.append(time.monotonic() - promoted)
        self.log.append(f"promoted {promoted - began:.2f} s after the break, back {self.back_s[-1]:.3f} s later")

    def kill(self) -> None:
        self.pair.leader.kill()

    def freeze(self) -> None:
        self.pair.freeze(self.pair.leader)

    def report(self) -> str:
        ordered = sorted(self.back_s)
        return (
            f"{len(ordered)} failovers: back {ordered[len(ordered) // 2]:.3f} s after the promotion (median), "
            f"{ordered[-1]:.3f} s (worst); {len(self.senders.acknowledged)} webhooks acknowledged after "
            f"{self.senders.attempts} attempts ({self.senders.retried})\n" + "\n".join(self.log)
        )


async def migrated(pair: Pair) -> None:
    engine = create_engine(read_target(pair.dsn(pair.leader)), pool_size=1, application_name="tests")
    await migrate(engine)
    await engine.dispose()


def unexpected(*processes: Process) -> list[str]:
    """Return what any of them wrote that nobody expected."""
    words = ("Traceback", "unhandled_error", "never retrieved", "was destroyed")
    return [
        line for process in processes for line in process.text().splitlines() if any(word in line for word in words)
    ]
