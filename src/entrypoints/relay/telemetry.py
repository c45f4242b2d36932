"""What a relay says: one log line when something begins or ends, numbers for everything else."""

import time

import structlog
from prometheus_client import Counter, Gauge, Histogram

from application.relay_events import Round

log = structlog.get_logger("relay")

_published = Counter("outbox_published_total", "Events that Kafka acknowledged.")
_dead = Counter("outbox_dead_letters_total", "Events that Kafka refused for good and that were put aside.")
_trouble = Counter("outbox_trouble_total", "Rounds that the broker or the database cut short.", ["reason"])
_in_trouble = Gauge("outbox_relay_in_trouble", "1 while the last round was cut short, else 0.")
_batch = Histogram("outbox_batch_events", "Events in a round.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000))
_age = Histogram(
    "outbox_publish_latency_seconds",
    "From an event being stored to being acknowledged by Kafka.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
_lanes = Gauge("outbox_lanes_held", "Lanes that this relay holds.")


class RelayTelemetry:
    """`entrypoints.relay.loop.Observer` for people and for Prometheus."""

    def __init__(self, name: str) -> None:
        self._log = log.bind(relay=name)
        self._reason: str | None = None
        self._since = 0.0

    def round_done(self, done: Round) -> None:
        if done.taken:
            _batch.observe(done.taken)
        if done.published:
            _published.inc(len(done.published))
            # Of a batch, the oldest event tells what a consumer had to wait.
            _age.observe(max(0.0, time.time() - min(pending.stored_at for pending in done.published)))
        if done.refused:
            _dead.inc(done.refused)
            self._log.error("events refused", count=done.refused, next_step="auth-service outbox dead")
        if self._reason and not done.outage:
            self._log.info("trouble is over", reason=self._reason, seconds=round(time.monotonic() - self._since, 1))
            self._reason = None
            _in_trouble.set(0)

    def trouble(self, reason: str) -> None:
        _trouble.labels(reason.split(" ", 1)[0]).inc()
        _in_trouble.set(1)
        if self._reason is None:
            self._since = time.monotonic()
        if reason != self._reason:  # once for each reason, not once for each round
            self._log.error("events wait", reason=reason)
            self._reason = reason

    def lanes_changed(self, lanes: frozenset[int]) -> None:
        _lanes.set(len(lanes))
        self._log.info("lanes held", count=len(lanes))
