"""Notifies idle relays that events were stored, outside the transaction that stored them."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled, directly
from adapters.postgres.connection.dial import Dialer, is_behind_pooler
from adapters.postgres.connection.target import Target
from adapters.postgres.failures import DATABASE_ERRORS
from adapters.postgres.statements import CHANNEL
from application.relay.loop import LONGEST_ROUND_S, round_s

# NOTIFY takes a lock that every committing transaction in the database waits for: inside the write it cost 44 % (8
# writers) to 77 % (64 writers) of the commits. Here it is a transaction of its own.
_NOTIFY = Compiled(f"SELECT pg_notify('{CHANNEL}', :events)")


class OutboxNotifier:
    """Notifies `outbox_wake` after `add()`; a lost notification delays events by a relay's poll interval.

    At once if relays are idle. Else the next round of the relay that took what was stored before takes these too, and
    relays of other lanes are notified within `LONGEST_ROUND_S` (ADR 0039).
    """

    def __init__(self, engine: AsyncEngine, events: str = "") -> None:
        self._engine = engine
        self._events = events
        self._due = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._busy_until = -math.inf

    def is_first(self, events: int, now: float) -> bool:
        """Tell whether relays are idle, by what was stored, so that these events may be stored with a notification.

        `now` is in seconds of a clock that never goes back.
        """
        if now <= self._busy_until:
            return False
        self._busy_until = now + round_s(events)
        return True

    def add(self, events: int) -> None:
        """So many events have been stored without a notification."""
        now = time.monotonic()
        if self.is_first(events, now):  # or became it while they were stored
            self._due.set()
            return
        self._busy_until = now + round_s(events)
        self._later = self._later or asyncio.get_running_loop().call_later(LONGEST_ROUND_S, self._due.set)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._notify(), name="outbox-wake")

    async def aclose(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _notify(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            if self._later:
                self._later.cancel()
                self._later = None
            with contextlib.suppress(*DATABASE_ERRORS):  # the relay polls anyway
                async with directly(self._engine) as driver:
                    await _NOTIFY.fetch(driver, {"events": self._events})


class NotificationListener:
    """Calls `on_wake` with the payload of each notification, and with None after every (re)connection.

    None stands for all notifications that were missed before. LISTEN needs a session of its own, which a
    transaction-mode pooler does not provide; behind one the relay only polls.
    """

    RECONNECT_S = 1.0
    CHECK_S = 10.0
    """Between two checks that the server still answers, and is still the primary."""

    def __init__(self, target: Target, on_wake: Callable[[str | None], None]) -> None:
        self._dial = Dialer(target=target, application_name="auth-service-wake", settings={})
        self._on_wake = on_wake
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if not self._dial.pooled:
            self._task = asyncio.create_task(self._listen(), name="outbox-wake-listener")

    async def aclose(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        while not self._dial.pooled:
            with contextlib.suppress(
                asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError
            ):
                await self._listen_once()
            await asyncio.sleep(self.RECONNECT_S)

    async def _listen_once(self) -> None:
        connection = await self._dial()
        closed = asyncio.Event()
        try:
            if is_behind_pooler(connection):
                return
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(CHANNEL, lambda *said: self._on_wake(said[-1]))
            self._on_wake(None)
            while not closed.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.CHECK_S):
                        await closed.wait()
                if not closed.is_set() and await connection.fetchval("SELECT pg_is_in_recovery()"):
                    return
        finally:
            connection.terminate()
