from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.clerk.backend_api import BackendApi
from support.asking_clerk import ADA, GRACE
from support.clerk_stand_in import RunningStandIn, running_stand_in


@pytest.fixture
def clerk() -> Iterator[RunningStandIn]:
    """Clerk's stand-in, with Ada and Grace."""
    with running_stand_in() as running:
        running.instance.create(ADA)
        running.instance.create(GRACE)
        yield running


@pytest.fixture
async def api(clerk: RunningStandIn) -> AsyncIterator[BackendApi]:
    backend = BackendApi(clerk.secret_key, clerk.url)
    yield backend
    await backend.aclose()
