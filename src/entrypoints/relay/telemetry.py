"""How a relay reports its work: one log line when a failure begins or ends, and the metrics `outbox_…`."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from application.doctor.outbox import blocked_by
from application.errors import StoreUnavailableError
from application.failure import Failure
from application.relay.dead_letters import OutboxStatus
from application.relay.relay_events import Round

log = structlog.get_logger("relay")

_published = Counter("outbox_published_total", "Events that Kafka acknowledged.")
_dead = Counter("outbox_dead_letters_total", "Events that Kafka refused permanently.")
_failures = Counter("outbox_failures_total", "Rounds that failed, and leases that could not be renewed.", ["cause"])
_failing = Gauge("outbox_relay_failing", "1 if the last round failed, else 0.")
_batch = Histogram("outbox_batch_events", "Events in a round.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000))
_age = Histogram(
    "outbox_publish_latency_seconds",
    "From an event being stored to being acknowledged by Kafka.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
_wake = Histogram(
    "outbox_wake_to_publish_seconds",
    "From a notification to the acknowledgement of its events, in an idle relay.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
_lanes = Gauge("outbox_lanes_held", "Lanes that this relay holds.")
_waiting = Gauge("outbox_waiting_events", "Events that Kafka has not acknowledged. All relays report the same number.")
_oldest = Gauge("outbox_oldest_event_age_seconds", "Age of the oldest event that waits; 0 if none waits.")
_letters = Gauge("outbox_dead_letters_waiting", "Dead letters that were neither retried nor discarded.")
_unowned = Gauge("outbox_lanes_unowned", "Lanes that no relay holds.")
_vacuum_blocked = Gauge(
    "outbox_vacuum_blocked_seconds", "Age of the oldest transaction that blocks vacuum, if over a minute."
)

BACKLOG_EVERY_S = 15.0  # Prometheus' usual interval: more frequent readings would not be seen
_REST = 20  # times as long as a reading took


class RoundTelemetry:
    """`application.relay.loop.RoundObserver` for people and for Prometheus: the rounds of one topic."""

    def __init__(self, name: str, events: str, on_change: Callable[[], None] = lambda: None) -> None:
        """`events` says in the log which topic it is; `on_change` is called when rounds begin or cease to fail."""
        self._log = log.bind(relay=name, events=events)
        self._on_change = on_change
        self._since = 0.0
        self._woken_at: float | None = None
        self.failure: Failure | None = None
        """What cut the last round short."""

    def woken(self) -> None:
        """A notification of waiting events has arrived."""
        if self._woken_at is None:
            self._woken_at = time.perf_counter()

    def round_done(self, done: Round) -> None:
        if done.taken:
            _batch.observe(done.taken)
        if done.published:
            _published.inc(len(done.published))
            # Of a batch, the oldest event tells what a consumer had to wait.
            _age.observe(max(0.0, time.time() - min(pending.stored_at for pending in done.published)))
            if self._woken_at is not None:
                _wake.observe(time.perf_counter() - self._woken_at)
        self._woken_at = None  # also by a round that found nothing: it was another relay's
        if done.refused:
            _dead.inc(done.refused)
            self._log.error("events_refused", count=done.refused, next_step="auth-service outbox dead")
        if self.failure and not done.outage:
            seconds = round(time.monotonic() - self._since, 1)
            self._log.info("outage_over", cause=str(self.failure), seconds=seconds)
            self.failure = None
            self._on_change()

    def round_failed(self, failure: Failure) -> None:
        _failures.labels(failure.label).inc()
        if self.failure is None:
            self._since = time.monotonic()
        if _is_new(failure, self.failure):
            self._log.error("events_waiting", cause=str(failure))
        self.failure = failure
        self._on_change()


class RelayTelemetry:
    """`application.relay.loop.RelayObserver` for people and for Prometheus."""

    def __init__(self, name: str) -> None:
        self._log = log.bind(relay=name)
        self.users = RoundTelemetry(name, "users", self._show_failing)
        self.sessions = RoundTelemetry(name, "sessions", self._show_failing)
        self._lease_failure: Failure | None = None
        self._blocked: str | None = None

    def _show_failing(self) -> None:
        _failing.set(bool(self.users.failure or self.sessions.failure))

    def leases_renewed(self, failure: Failure | None) -> None:
        """Log when lanes cannot be renewed (a database that takes no writes shows here first), and can be again."""
        if failure:
            _failures.labels(failure.label).inc()
            if _is_new(failure, self._lease_failure):
                self._log.error("lane_renewal_failed", cause=str(failure))
        elif self._lease_failure:
            self._log.info("lane_renewal_recovered", cause=str(self._lease_failure))
        self._lease_failure = failure

    async def watch_backlog(self, read: Callable[[], Awaitable[OutboxStatus]]) -> None:
        """Read until cancelled; without a database the gauges stay as they were."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(StoreUnavailableError):  # the relay's rounds meet the same failure, and log it
                self.backlog_read(await read())
            # Counting takes longer the more there is, and the database has something better to do then.
            await asyncio.sleep(max(BACKLOG_EVERY_S, _REST * (time.monotonic() - began)))

    def backlog_read(self, status: OutboxStatus) -> None:
        """See what waits, and whether something keeps PostgreSQL from removing the rows of events that are out."""
        blocker = status.vacuum_blocker
        _waiting.set(status.waiting)
        _oldest.set(status.oldest_s)
        _letters.set(status.dead)
        _unowned.set(sum(lane.owner is None for lane in status.lanes))
        _vacuum_blocked.set(blocker.age_s or 0 if blocker else 0)
        says = blocked_by(blocker) if blocker else None
        if says and not self._blocked:
            self._log.warning("vacuum_blocked", cause=says)
        elif self._blocked and not says:
            self._log.info("vacuum_unblocked")
        self._blocked = says

    def health(self) -> dict[str, Any]:
        """Return `/health`, where all that is not well has a cause.

        Events that wait while this is well are another relay's, or only just stored.
        """
        failures = {"events": self.users.failure, "session_events": self.sessions.failure, "lanes": self._lease_failure}
        checks = {name: "unavailable" if failure else "ok" for name, failure in failures.items()}
        checks["vacuum"] = "degraded" if self._blocked else "ok"
        causes = {name: str(cause) for name, cause in {**failures, "vacuum": self._blocked}.items() if cause}
        status = next((state for state in ("unavailable", "degraded") if state in checks.values()), "ok")
        return {"status": status, "checks": checks, "causes": causes}

    def lanes_changed(self, lanes: frozenset[int]) -> None:
        _lanes.set(len(lanes))
        self._log.info("lanes_held", count=len(lanes))


def _is_new(failure: Failure, before: Failure | None) -> bool:
    """Tell whether it is another failure than before; a detail may differ in each round."""
    return before is None or failure.label != before.label
