"""Every operation that the OpenAPI document describes."""

from entrypoints.http.health import health, live, read_metrics, ready
from entrypoints.http.me import read_me
from entrypoints.http.user_actions import ban, delete, lock, revoke_sessions, set_metadata, sync, unban, unlock
from entrypoints.http.users import read_user, read_users
from entrypoints.http.verify import verify
from entrypoints.http.webhooks import handle_webhook

_OF_USERS = (read_user, read_users, ban, unban, lock, unlock, set_metadata, revoke_sessions, sync, delete)

HANDLERS = (handle_webhook, read_me, verify, *_OF_USERS, health, live, ready, read_metrics)

INJECTED = ("receive_webhook", "authentication", "management", "dependencies")
"""The parameters of theirs that the container fills."""
