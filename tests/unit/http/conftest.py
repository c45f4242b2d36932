from collections.abc import AsyncIterator

import pytest

from support.user_actions import served
from support.web import Web
from support.web import web as running

__all__ = ["served"]


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with running() as started:
        yield started
