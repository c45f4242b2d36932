"""The last bound on how long an answer may take, whatever is stuck behind it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from application.errors import StoreUnavailableError

T = TypeVar("T")

LOOK_UP_DEADLINE_S = 15.0
"""A read, then Clerk, then a write, each with its own bound."""


async def within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Await it.

    Raises:
        StoreUnavailableError: it takes longer than that.
    """
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        raise StoreUnavailableError("no answer in time") from None
