"""`POST /v1/users/{id}/…` by a service that may do everything."""

import pytest

from entrypoints.config.service_keys import new_service_key
from support.users import USER, snapshot
from support.web import created, web

KEY, CONFIGURED = new_service_key("billing")
NOW = 1_700_000_000_000
MANAGE = {"v": 2, "fea": "o:users", "o": {"id": "org_ours", "rol": "admin", "per": "manage", "fpm": "1"}}
PATCH = {"public_metadata": {"plan": "pro", "old": None}}


@pytest.fixture
async def served():
    async with web(AUTH_SERVICE_KEYS=str(CONFIGURED), AUTH_SERVICE_ORGANIZATIONS="org_ours") as started:
        started.client.headers["authorization"] = f"Bearer {KEY}"
        await started.deliver(created())
        kept = started.users.rows[USER].profile
        started.identities.users[USER] = snapshot(
            at=NOW, **{name: getattr(kept, name) for name in type(kept).__slots__ if name != "__weakref__"}
        )
        yield started


async def act(served, action, user=USER, *, headers=None, **how):
    if action == "set-metadata" and not how:
        how = {"json": PATCH}
    return await served.client.post(f"/v1/users/{user}/{action}", headers=headers, **how)
