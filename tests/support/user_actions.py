"""`POST /v1/users/{id}/…` by a service that may do everything."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import attrs
import httpx
import pytest

from domain.user import Profile
from entrypoints.config.service_keys import new_service_key
from support.memory import living
from support.users import USER, snapshot
from support.web import Web, created, web

KEY, CONFIGURED = new_service_key("billing")
NOW = 1_700_000_000_000
MANAGE = {"v": 2, "fea": "o:users", "o": {"id": "org_ours", "rol": "admin", "per": "manage", "fpm": "1"}}
PATCH = {"public_metadata": {"plan": "pro", "old": None}}


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with web(AUTH_SERVICE_KEYS=str(CONFIGURED), AUTH_SERVICE_ORGANIZATIONS="org_ours") as started:
        started.client.headers["authorization"] = f"Bearer {KEY}"
        await started.deliver(created())
        kept = living(started.users.rows[USER]).profile
        fields = {each.name: getattr(kept, each.name) for each in attrs.fields(Profile)}
        started.identities.users[USER] = snapshot(at=NOW, **fields)
        yield started


async def act(
    served: Web, action: str, user: str = USER, *, headers: Mapping[str, str] | None = None, **how: Any
) -> httpx.Response:
    if action == "set-metadata" and not how:
        how = {"json": PATCH}
    return await served.client.post(f"/v1/users/{user}/{action}", headers=headers, **how)
