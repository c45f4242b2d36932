"""When a relay runs its next round, on which lanes, and how it retries."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from typing import Protocol

from attrs import define, field

from application.errors import StoreUnavailableError
from application.failure import Failure
from application.relay.lane_leases import LEASE_S, share_lanes
from application.relay.ports import LaneLeases
from application.relay.relay_events import Round

BATCH = 1000  # messages in one round: two statements and one pipeline of sends

ROUND_S, SHARED_ROUND_S, LONGEST_ROUND_S = 0.004, 0.008, 0.02
"""Between the starts of two rounds while fewer than `BATCH` wait: events that arrive meanwhile share the next one. The
second follows a round of several events: more of them share it, for 30 % less of a relay's CPU (ADR 0040)."""

EVENTS_PER_S = 2000
"""Above this rate rounds grow, to `LONGEST_ROUND_S`, instead of being more frequent: one costs Kafka as much as ten
events."""

SHORTEST_PAUSE_S, LONGEST_PAUSE_S, LONGER = 0.01, 1.6, 4
"""An idle relay polls at intervals that grow fourfold; a lost notification costs at most the longest of them."""

LONGEST_SESSION_PAUSE_S = 5.0
"""The same for session events, which are few: two carriers together poll hardly more often than one."""

SHORTEST_BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 5.0  # between rounds while the broker or the database fails, with jitter

LEAVE_S = 20.0
"""How long the current round may continue after `stop`: an orchestrator kills after 30 s. An aborted round
is repeated; no event is lost."""


def round_s(events: int) -> float:
    """Return how long a round is that took so many events, seconds."""
    return ROUND_S if events <= 1 else max(SHARED_ROUND_S, min(events / EVENTS_PER_S, LONGEST_ROUND_S))


class Rounds(Protocol):
    """`RelayEvents` or `RelayEventsAndState`."""

    async def __call__(self, lanes: Sequence[int], limit: int) -> Round:
        """Publish up to `limit` messages of these lanes."""

    async def settle(self) -> None:
        """Delete what the last round published, if no other round follows soon."""


class RoundObserver(Protocol):
    """Receives the results of a carrier's rounds."""

    def round_done(self, done: Round) -> None: ...
    def round_failed(self, failure: Failure) -> None: ...


class RelayObserver(Protocol):
    """Receives the lanes that a relay holds."""

    def leases_renewed(self, failure: Failure | None) -> None:
        """Report the result of each attempt to renew."""

    def lanes_changed(self, lanes: frozenset[int]) -> None: ...


@define
class Carrier:
    """Publishes the events of one topic: round after round, from the lanes that its relay holds.

    Each topic has its own carrier, so that an outage or a backlog of one topic does not delay another.
    """

    rounds: Rounds
    observer: RoundObserver
    longest_pause_s: float = LONGEST_PAUSE_S  # between two polls of an idle relay
    shortest_pause_s: float = SHORTEST_PAUSE_S
    _lanes: list[int] = field(factory=list, init=False)
    _wake: asyncio.Event = field(factory=asyncio.Event, init=False)
    _stopping: asyncio.Event = field(factory=asyncio.Event, init=False)

    def wake(self) -> None:
        """Start a round now, without waiting for the next poll."""
        self._wake.set()

    def stop(self) -> None:
        """End after the current round."""
        self._stopping.set()
        self._wake.set()

    def hold(self, lanes: frozenset[int]) -> None:
        self._lanes = sorted(lanes)
        self._wake.set()

    async def run(self) -> None:
        """Return after `stop`, when the current round is finished."""
        pause, backoff = self.shortest_pause_s, SHORTEST_BACKOFF_S
        while not self._stopping.is_set():
            # Cleared before the read: what is stored after it sets the event again.
            self._wake.clear()
            began = time.monotonic()
            done, failure = await self._round()
            if failure:
                self.observer.round_failed(failure)
                await self._sleep(backoff * random.uniform(0.5, 1))  # noqa: S311  # jitter, not a secret
                backoff = min(backoff * 2, LONGEST_BACKOFF_S)
                continue
            backoff = SHORTEST_BACKOFF_S
            if 0 < done.taken < BATCH:
                await asyncio.sleep(began + round_s(done.taken) - time.monotonic())
            busy = done.taken > 0 or await self._sleep(pause)
            pause = self.shortest_pause_s if busy else min(pause * LONGER, self.longest_pause_s)
        with contextlib.suppress(StoreUnavailableError):  # its events are sent again
            await self.rounds.settle()

    async def _round(self) -> tuple[Round, Failure | None]:
        lanes = self._lanes
        # The next round starts with the next lane, so that one full lane does not starve the others.
        self._lanes = lanes[1:] + lanes[:1]
        try:
            if not lanes:
                await self.rounds.settle()
                return Round(0), None
            done = await self.rounds(lanes, BATCH)
        except StoreUnavailableError as error:
            return Round(0), error.failure
        self.observer.round_done(done)
        return done, done.outage

    async def _sleep(self, seconds: float) -> bool:
        """Wait, and tell whether a notification (or `stop`) ended it early."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True


@define
class Relay:
    """One relay: `run` returns after `stop`, when the current rounds are finished."""

    name: str
    carriers: Sequence[Carrier]
    leases: LaneLeases
    observer: RelayObserver
    leave_s: float = LEAVE_S
    _lanes: frozenset[int] = field(default=frozenset(), init=False)
    _stopping: asyncio.Event = field(factory=asyncio.Event, init=False)
    _known: bool = field(default=False, init=False)  # whether the table of leases has this relay

    def stop(self) -> None:
        """Finish the current rounds within `leave_s`, and end."""
        self._stopping.set()
        for carrier in self.carriers:
            carrier.stop()

    async def run(self) -> None:
        keeper = asyncio.create_task(self._keep_lanes(), name="relay-lanes")
        rounds = asyncio.create_task(self._run_carriers(), name="relay-rounds")
        deadline = asyncio.create_task(self._stop_deadline(), name="relay-stop-deadline")
        try:
            # Rounds end after `stop`; the keeper ends only by a bug, and then no lease is renewed: crash instead.
            ended, _ = await asyncio.wait({keeper, rounds, deadline}, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in (keeper, rounds, deadline):
                task.cancel()
            await asyncio.gather(keeper, rounds, deadline, return_exceptions=True)
            if self._known:  # else the database may not answer at all
                with contextlib.suppress(StoreUnavailableError):  # then the leases expire
                    await self.leases.leave(self.name)

    async def _run_carriers(self) -> None:
        async with asyncio.TaskGroup() as carriers:
            for carrier in self.carriers:
                carriers.create_task(carrier.run())

    async def _stop_deadline(self) -> None:
        await self._stopping.wait()
        await asyncio.sleep(self.leave_s)

    async def _keep_lanes(self) -> None:
        renewed = time.monotonic()
        while True:
            try:
                table = await self.leases.read(self.name)
                held = await self.leases.write(self.name, share_lanes(table, self.name))
            except StoreUnavailableError as error:  # without waiting events, rounds write nothing and do not fail
                self.observer.leases_renewed(error.failure)
                if time.monotonic() - renewed > LEASE_S:
                    self._hold(frozenset())  # another relay holds them by now
            else:
                self.observer.leases_renewed(None)
                self._known = True
                renewed = time.monotonic()
                self._hold(held)
            await asyncio.sleep(LEASE_S / 3)  # three attempts to renew within the duration of a lease

    def _hold(self, lanes: frozenset[int]) -> None:
        if lanes != self._lanes:
            self._lanes = lanes
            self.observer.lanes_changed(lanes)
            for carrier in self.carriers:
                carrier.hold(lanes)
