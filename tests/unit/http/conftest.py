from collections.abc import AsyncIterator

import pytest

from support.web import Web
from support.web import web as running


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with running() as started:
        yield started
