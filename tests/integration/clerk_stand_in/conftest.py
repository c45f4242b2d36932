from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from clerk_backend_api import Clerk

from support.clerk_stand_in import RunningStandIn, running_stand_in
from support.http_server import Answer, http_server


@pytest.fixture
async def sdk(clerk_stand_in: RunningStandIn) -> AsyncIterator[Clerk]:
    """The official SDK as it comes, asking the stand-in."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        yield Clerk(
            bearer_auth=clerk_stand_in.secret_key,
            server_url=f"{clerk_stand_in.url}/v1",
            async_client=http,
            retry_config=None,
            timeout_ms=5000,
        )


@pytest.fixture
def ask(clerk_stand_in: RunningStandIn) -> Iterator[Callable[..., httpx.Response]]:
    """Ask without the SDK, which would send nothing of the sort."""
    headers = {"authorization": f"Bearer {clerk_stand_in.secret_key}"}
    with httpx.Client(base_url=clerk_stand_in.url, headers=headers, trust_env=False, verify=False, timeout=20) as http:
        yield http.request


@pytest.fixture
def receiver():
    with http_server(lambda _: Answer()) as server:
        yield server


@pytest.fixture
def clerk(clerk_stand_in, receiver):
    clerk_stand_in.send_webhooks_to(f"{receiver.url}/webhooks/clerk")
    return clerk_stand_in


@pytest.fixture
def in_order(receiver):
    """One at a time: they arrive as they were sent."""
    with running_stand_in(concurrency=1) as clerk:
        clerk.send_webhooks_to(f"{receiver.url}/webhooks/clerk")
        yield clerk
