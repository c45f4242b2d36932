"""The Grafana dashboard: what to look at first, from the top down."""

from collections.abc import Iterator
from typing import Any

from attrs import frozen

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_PANEL_WIDTH, _PANEL_HEIGHT = 8, 7
_WHOLE_WIDTH = 24


@frozen
class Panel:
    title: str
    says: str
    """What to read out of it."""
    unit: str
    """Grafana's own names: s, reqps, short, percentunit, ops."""
    queries: dict[str, str]
    """By legend."""
    kind: str = "timeseries"


@frozen
class Row:
    title: str
    panels: list[Panel]


def _quantiles(metric: str, selector: str = "") -> dict[str, str]:
    rate = f"sum by (le) (rate({metric}_bucket{selector}[$__rate_interval]))"
    return {f"p{q}": f"histogram_quantile({q / 100}, {rate})" for q in (50, 95, 99)}


ROWS = [
    Row(
        "Is all well?",
        [
            Panel("Alerts", "What fires now.", "short", {"{{alertname}}": 'ALERTS{alertstate="firing"}'}),
            Panel(
                "Since the last webhook",
                "Longer than usual: is the endpoint switched off at Clerk?",
                "s",
                {"age": "time() - (max(auth_webhook_last_accepted_timestamp_seconds) > 0)"},
                "stat",
            ),
            Panel(
                "Oldest event that waits",
                "How far behind the rest of the platform is.",
                "s",
                {"age": "max(outbox_oldest_event_age_seconds)"},
                "stat",
            ),
        ],
    ),
    Row(
        "Webhooks",
        [
            Panel(
                "Deliveries by outcome",
                "Codes instead of outcomes are refusals.",
                "reqps",
                {"{{outcome}}": "sum by (outcome) (rate(auth_webhooks_total[$__rate_interval]))"},
            ),
            Panel(
                "Answer times",
                "A webhook's contains its COMMIT.",
                "s",
                _quantiles("http_request_duration_seconds", '{route="/webhooks/clerk"}'),
            ),
            Panel(
                "Changes that wait",
                "At 4096 in one process webhooks are answered 503.",
                "short",
                {"{{instance}}": "sum by (instance) (auth_write_queue_changes)"},
            ),
            Panel(
                "Causes that an operator can mend",
                "As the log and /health name them.",
                "ops",
                {"{{cause}}": "sum by (cause) (rate(auth_failures_total[$__rate_interval]))"},
            ),
            Panel(
                "Users read from Clerk",
                "Signed in before a webhook told of them: late, or lost.",
                "ops",
                {"users": "sum(rate(auth_users_obtained_total[$__rate_interval]))"},
            ),
            Panel(
                "Reads with replicas",
                "By which server answered, and why the primary had to.",
                "ops",
                {"{{place}} {{why}}": "sum by (place, why) (rate(auth_user_reads_total[$__rate_interval]))"},
            ),
            Panel(
                "Actions on users",
                "Bans, locks, deletions over HTTP.",
                "ops",
                {
                    "{{action}} {{outcome}}": (
                        "sum by (action, outcome) (rate(auth_user_actions_total[$__rate_interval]))"
                    )
                },
            ),
        ],
    ),
    Row(
        "Requests",
        [
            Panel(
                "By route",
                "",
                "reqps",
                {"{{route}}": "sum by (route) (rate(http_requests_total[$__rate_interval]))"},
            ),
            Panel(
                "Share of 5xx",
                "By route.",
                "percentunit",
                {
                    "{{route}}": (
                        'sum by (route) (rate(http_requests_total{status=~"5.."}[$__rate_interval]))'
                        " / sum by (route) (rate(http_requests_total[$__rate_interval]))"
                    )
                },
            ),
            Panel(
                "GET /v1/me",
                "From the first byte to the last.",
                "s",
                _quantiles("http_request_duration_seconds", '{route="/v1/me"}'),
            ),
            Panel(
                "Connections to PostgreSQL",
                "Of 8 in a process.",
                "short",
                {"{{state}}": "sum by (state) (auth_database_connections)"},
            ),
            Panel(
                "Signing keys",
                "Age, and fetches that failed; 65 minutes are the end.",
                "s",
                {
                    "age": "max(auth_jwks_age_seconds)",
                    "failures in 5 min": "sum(increase(auth_jwks_fetch_failures_total[5m]))",
                    "fetches in 5 min": "sum(increase(auth_jwks_fetches_total[5m]))",
                    "usable": "min(auth_jwks_usable)",
                },
            ),
            Panel(
                "Event loop",
                "How late timers are: above 0.1 s a process has more to do than it can.",
                "s",
                {"{{instance}}": "max by (instance) (auth_event_loop_lag_seconds)"},
            ),
        ],
    ),
    Row(
        "Outbox and relays",
        [
            Panel(
                "Events that wait",
                "All relays tell the same.",
                "short",
                {"events": "max(outbox_waiting_events)"},
            ),
            Panel(
                "Published",
                "By relay.",
                "ops",
                {"{{instance}}": "sum by (instance) (rate(outbox_published_total[$__rate_interval]))"},
            ),
            Panel(
                "From stored to acknowledged",
                "Of the oldest event of each batch.",
                "s",
                _quantiles("outbox_publish_latency_seconds"),
            ),
            Panel(
                "Rounds cut short",
                "By reason.",
                "ops",
                {"{{cause}}": "sum by (cause) (rate(outbox_failures_total[$__rate_interval]))"},
            ),
            Panel(
                "Failing relays",
                "1 while a relay cannot carry events on.",
                "short",
                {"{{instance}}": "max by (instance) (outbox_relay_failing)"},
            ),
            Panel(
                "Lanes",
                "64 in all; unowned ones stand still.",
                "short",
                {
                    "{{instance}}": "sum by (instance) (outbox_lanes_held)",
                    "unowned": "max(outbox_lanes_unowned)",
                },
            ),
            Panel(
                "Batches",
                "Events in a round.",
                "short",
                _quantiles("outbox_batch_events"),
            ),
            Panel(
                "Parts of a round",
                "Which server is slow.",
                "s",
                {
                    "to Kafka, p95": _quantiles("outbox_publish_duration_seconds")["p95"],
                    "deleting, p95": _quantiles("outbox_delete_duration_seconds")["p95"],
                    "from wake to published, p95": _quantiles("outbox_wake_to_publish_seconds")["p95"],
                },
            ),
            Panel(
                "Dead letters",
                "Waiting for a decision, and new ones.",
                "short",
                {
                    "waiting": "max(outbox_dead_letters_waiting)",
                    "new in an hour": "sum(increase(outbox_dead_letters_total[1h]))",
                },
            ),
            Panel(
                "Vacuum blocked",
                "Age of the transaction that does it.",
                "s",
                {"age": "max(outbox_vacuum_blocked_seconds)"},
            ),
        ],
    ),
]


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports and provisions it (schema 39 and later)."""
    return {
        "uid": "auth-service",
        "title": "auth-service",
        "tags": ["auth-service"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]
        },
        "annotations": {"list": []},
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for row in ROWS:
        place = {"h": 1, "w": _WHOLE_WIDTH, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        number, top, left = number + 1, top + 1, 0
        for panel in row.panels:
            yield _panel(panel, number, left, top)
            number, left = number + 1, left + _PANEL_WIDTH
            if left == _WHOLE_WIDTH:
                left, top = 0, top + _PANEL_HEIGHT
        top += _PANEL_HEIGHT if left else 0


def _panel(panel: Panel, number: int, left: int, top: int) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "expr": query, "legendFormat": legend}
        for at, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": DATASOURCE,
        "gridPos": {"h": _PANEL_HEIGHT, "w": _PANEL_WIDTH, "x": left, "y": top},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": targets,
    }
