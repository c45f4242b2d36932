"""The console's use of the service's adapters, so that it reads webhooks and rows exactly as the service does."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.clerk.payloads import snapshot_of
from adapters.clerk.webhooks import ClerkWebhooks
from adapters.postgres.rows import user_from
from adapters.postgres.tables import outbox, outbox_dead, users
from application.errors import ForgedWebhookError, UnusableWebhookError
from application.users.signing_key import parse_signing_key
from devkit.console.why import News
from devkit.fake_clerk.signing import sign_webhook
from domain.user import Known, Profile

_SECRET = "whsec_" + "cmVhZGVy" * 4
_reader = ClerkWebhooks([parse_signing_key(_SECRET)])
_UNPUBLISHED = ("key", "version", "event_id", "type", "occurred_at", "payload", "traceparent")


def news_of(svix_id: str, body: bytes) -> News:
    """Return what a webhook tells, whoever signed it; `None` of what the service ignores or cannot use."""
    try:
        return _reader.read(sign_webhook(_SECRET, svix_id, int(time.time()), body), body)
    except (UnusableWebhookError, ForgedWebhookError, UnicodeDecodeError):  # the latter two of what nobody signs
        return None


def profile_of(document: Mapping[str, Any]) -> Profile | None:
    """Return what is kept of Clerk's user object; `None` where that is not usable."""
    try:
        return snapshot_of(json.dumps(document).encode(), timestamp=None).profile
    except UnusableWebhookError:
        return None


async def rows_of(engine: AsyncEngine, ids: Sequence[str]) -> tuple[dict[str, Known], list[dict[str, Any]]]:
    """Return the users' rows by id, and the rows of the outbox and of the dead letters, these with an `error`."""
    async with engine.connect() as connection:
        found = await connection.execute(select(users).where(users.c.id.in_(ids)))
        known: dict[str, Known] = {row["id"]: user_from(dict(row)) for row in found.mappings()}
        waiting: list[dict[str, Any]] = []
        for table, more in ((outbox, ()), (outbox_dead, ("error",))):
            columns = [table.c[name] for name in (*_UNPUBLISHED, *more)]
            rows = await connection.execute(select(*columns).where(table.c.key.in_(ids)))
            waiting += [dict(row) for row in rows.mappings()]
    return known, waiting
