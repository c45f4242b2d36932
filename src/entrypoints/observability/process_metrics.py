"""Metrics that change without a request: updated every second, outside of requests."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import define, field
from prometheus_client import Counter, Gauge

from anomalyze_auth import JwksKeys, KeySource
from application.users.ports import DatabaseLoad
from entrypoints.observability import metrics

EVERY_S = 1.0

_waiting = Gauge(
    "auth_write_queue_changes", "Changes of users that wait for the database.", multiprocess_mode="livesum"
)
_connections = Gauge("auth_database_connections", "Connections to PostgreSQL.", ["state"], multiprocess_mode="livesum")
_in_use, _idle = _connections.labels("in use"), _connections.labels("idle")
_accepted = Gauge(
    "auth_webhook_last_accepted_timestamp_seconds",
    "When a webhook was last accepted, seconds since 1970; 0 before the first.",
    multiprocess_mode="max",
)
_usable = Gauge("auth_jwks_usable", "1 when session tokens can be verified, else 0.", multiprocess_mode="livemin")
_age = Gauge(
    "auth_jwks_age_seconds", "Since the key set was last fetched; 0 for a key at hand.", multiprocess_mode="livemax"
)
_fetches = Counter("auth_jwks_fetches_total", "Fetches of the key set.")
_failures = Counter("auth_jwks_fetch_failures_total", "Those that brought no usable key set.")
_lag = Gauge("auth_event_loop_lag_seconds", "How late the last timer was.", multiprocess_mode="livemax")


@define
class ProcessMetrics:
    """Where the numbers are."""

    database_load: Callable[[], DatabaseLoad]
    session_keys: KeySource
    _reported: dict[Counter, int] = field(factory=dict, init=False)

    def report(self, lag_s: float) -> None:
        load = self.database_load()
        _waiting.set(load.waiting_changes)
        _in_use.set(load.connections_in_use)
        _idle.set(load.connections_idle)
        _accepted.set(metrics.webhook_accepted_at)
        _lag.set(lag_s)
        if isinstance(self.session_keys, JwksKeys):
            state = self.session_keys.state
            _usable.set(state.usable)
            _age.set(state.age_seconds or 0)
            self._add_total(_fetches, state.fetches)
            self._add_total(_failures, state.failures)
        else:
            _usable.set(1)

    def _add_total(self, counter: Counter, total: int) -> None:
        counter.inc(total - self._reported.get(counter, 0))
        self._reported[counter] = total


@asynccontextmanager
async def reporting(metrics: ProcessMetrics) -> AsyncIterator[None]:
    """Update the metrics every second until the block ends."""
    task = asyncio.create_task(_report(metrics), name="process-metrics")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _report(metrics: ProcessMetrics) -> None:
    lag_s = 0.0
    while True:
        metrics.report(lag_s)
        began = time.perf_counter()
        await asyncio.sleep(EVERY_S)
        lag_s = max(0.0, time.perf_counter() - began - EVERY_S)
