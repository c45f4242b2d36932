"""How much waits, for Prometheus: read now and then, because it is the database's to know and not a relay's."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge

from application.errors import StoreUnavailableError
from application.relay.dead_letters import OutboxStatus

EVERY_S = 15.0
"""Prometheus' own usual interval: reading more often would show nobody more."""

_waiting = Gauge("outbox_waiting_events", "Events that are not known to be published. All relays tell the same.")
_oldest = Gauge("outbox_oldest_event_age_seconds", "Age of the oldest event that waits; 0 when none does.")
_dead = Gauge("outbox_dead_letters_waiting", "Dead letters that nobody has retried or discarded.")
_unowned = Gauge("outbox_lanes_unowned", "Lanes that no relay carries.")
_blocked = Gauge(
    "outbox_vacuum_blocked_seconds", "Age of the oldest transaction that holds back vacuum, over a minute."
)


async def watch_backlog(read: Callable[[], Awaitable[OutboxStatus]], tell: Callable[[OutboxStatus], None]) -> None:
    """Keep the gauges true until cancelled, and tell each reading; without a database they stay as they were."""
    while True:
        with contextlib.suppress(StoreUnavailableError):  # the relay's rounds meet the same trouble, and tell
            status = await read()
            tell(status)
            _waiting.set(status.waiting)
            _oldest.set(status.oldest_s)
            _dead.set(status.dead)
            _unowned.set(sum(lane.owner is None for lane in status.lanes))
            blocker = status.vacuum_blocker
            _blocked.set(0 if blocker is None or blocker.age_s is None else blocker.age_s)
        await asyncio.sleep(EVERY_S)
