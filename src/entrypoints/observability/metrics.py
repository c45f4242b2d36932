"""Metrics of requests, labelled by route template and never by path."""

import os
import re
import time
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from application.users.replica import WhyPrimary
from domain.decision import Outcome

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CONTENT_TYPE = CONTENT_TYPE_LATEST

_REQUESTS = Counter("http_requests_total", "Requests answered.", ["method", "route", "status"])
_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from the request's first byte to the answer's last.",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
)
_WEBHOOKS = Counter("auth_webhooks_total", "Webhook deliveries by what came of them.", ["outcome"])
for _outcome in (*Outcome, "webhook-not-genuine", "webhook-not-usable", "not-storable"):
    _WEBHOOKS.labels(_outcome)  # at 0: an alert tells none from no service, and sees the first of a kind
OBTAINED = Counter("auth_users_obtained_total", "Users read from Clerk because no webhook had arrived.")
FAILURES = Counter("auth_failures_total", "Requests that failed for a cause that an operator can remove.", ["cause"])

_READS = Counter(
    "auth_user_reads_total",
    "Reads of users that a replica answered, and those that the primary had to answer; none without replicas.",
    ["place", "why"],
)
_READ_AT = {why: _READS.labels("primary" if why else "replica", why or "") for why in (None, *WhyPrimary)}

WEBHOOK_ROUTE = "/webhooks/clerk"

_ACTIONS = Counter("auth_user_actions_total", "Actions on users by what came of them.", ["action", "outcome"])
_ACTION_ROUTE = "/v1/users/{user_id}/"

# `labels()` checks and hashes its arguments on each call; looking the result up costs a tenth of that.
_children: dict[tuple[str, str, int, str | None], tuple[Counter, Histogram, Counter | None]] = {}

# Of a worker that died: its counts stay true, its gauges do not.
_LIVING = re.compile(r"gauge_live[a-z]*_(\d+)\.db")

webhook_accepted_at = 0.0  # when this process last accepted a webhook, seconds since 1970; 0 before the first


def observe(*, method: str, route: str, status: int, seconds: float, outcome: str | None) -> None:
    """Count one request; a method that is not HTTP's own counts as `other`, so that clients cannot make labels."""
    key = (method if method in METHODS else "other", route, status, outcome)
    children = _children.get(key)
    if children is None:
        requests = _REQUESTS.labels(key[0], route, str(status))
        children = _children[key] = (requests, _DURATION.labels(key[0], route), _by_outcome(route, outcome))
    requests, duration, by_outcome = children
    requests.inc()
    duration.observe(seconds)
    if by_outcome is not None:
        by_outcome.inc()
        if status == 200 and route == WEBHOOK_ROUTE:  # noqa: PLR2004
            global webhook_accepted_at  # noqa: PLW0603  # a gauge of Prometheus would be a write to disk for each
            webhook_accepted_at = time.time()


def _by_outcome(route: str, outcome: str | None) -> Counter | None:
    if not outcome:
        return None
    if route == WEBHOOK_ROUTE:
        return _WEBHOOKS.labels(outcome)
    if route.startswith(_ACTION_ROUTE):
        return _ACTIONS.labels(route.removeprefix(_ACTION_ROUTE), outcome)
    return None


def count_read(why: WhyPrimary | None) -> None:
    """Count a reading of users that was tried at a replica; `why` is what sent it to the primary."""
    _READ_AT[why].inc()


def render() -> bytes:
    """Return the text format; of all workers together when there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    _forget_the_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    for file in folder.glob("gauge_live*.db"):
        if match := _LIVING.fullmatch(file.name):
            try:
                os.kill(int(match[1]), 0)
            except ProcessLookupError:
                file.unlink(missing_ok=True)
