"""Every operation that the OpenAPI document describes."""

from entrypoints.http.health import health, live, read_metrics, ready
from entrypoints.http.me import read_me
from entrypoints.http.verify import verify
from entrypoints.http.webhooks import handle_webhook

HANDLERS = (handle_webhook, read_me, verify, health, live, ready, read_metrics)

INJECTED = ("receive_webhook", "authentication", "dependencies")
"""The parameters of theirs that the container fills."""
