"""Every operation that the OpenAPI document describes."""

from entrypoints.http.routes.health import health, live, read_metrics, ready
from entrypoints.http.routes.me import read_me
from entrypoints.http.routes.verify import verify
from entrypoints.http.routes.webhooks import handle_webhook
from entrypoints.http.users.actions import ACTIONS
from entrypoints.http.users.lookups import read_user, read_users

DIRECT = (handle_webhook, read_me, verify)  # nearly all requests are for these; see `middleware.direct_routes`

HANDLERS = (*DIRECT, read_user, read_users, *ACTIONS, health, live, ready, read_metrics)

INJECTED = ("receive_webhook", "authentication", "management", "dependencies")  # filled by the container
