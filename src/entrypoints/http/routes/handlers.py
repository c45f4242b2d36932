"""Every operation that the OpenAPI document describes."""

from entrypoints.http.routes.health import health, live, read_metrics, ready
from entrypoints.http.routes.me import read_me
from entrypoints.http.routes.verify import verify
from entrypoints.http.routes.webhooks import handle_webhook
from entrypoints.http.users.actions import ban, delete, lock, revoke_sessions, set_metadata, sync, unban, unlock
from entrypoints.http.users.lookups import read_user, read_users

_OF_USERS = (read_user, read_users, ban, unban, lock, unlock, set_metadata, revoke_sessions, sync, delete)

DIRECT = (handle_webhook, read_me, verify)  # nearly all requests are for these; see `middleware.direct_routes`

HANDLERS = (*DIRECT, *_OF_USERS, health, live, ready, read_metrics)

INJECTED = ("receive_webhook", "authentication", "management", "dependencies")  # filled by the container
