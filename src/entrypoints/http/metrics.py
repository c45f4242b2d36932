"""What Prometheus is told about requests: labelled by route template, never by path."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

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

# `labels()` checks and hashes its arguments on each call; looking the result up costs a tenth of that.
_children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def observe(*, method: str, route: str, status: int, seconds: float, outcome: str | None) -> None:
    """Count one request; a method that is not HTTP's own counts as `other`, so that clients cannot make labels."""
    key = (method if method in METHODS else "other", route, status)
    children = _children.get(key)
    if children is None:
        children = (_REQUESTS.labels(key[0], route, str(status)), _DURATION.labels(key[0], route))
        _children[key] = children
    children[0].inc()
    children[1].observe(seconds)
    if route == "/webhooks/clerk" and outcome:
        _WEBHOOKS.labels(outcome).inc()


def render() -> bytes:
    """Return the text format; of all workers together when there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
