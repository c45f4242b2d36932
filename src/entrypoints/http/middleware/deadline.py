"""The last bound on how long an answer may take, whatever is stuck behind it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from application.errors import StoreUnavailableError

T = TypeVar("T")


async def within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Await it.

    Raises:
        StoreUnavailableError: it takes longer than that.
    """
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        raise StoreUnavailableError from None
