"""Retries while Clerk or the database is unavailable: bounded, and reported."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from attrs import frozen

from application.errors import ClerkKeyRefusedError, ClerkLimitedError, ClerkUnavailableError, StoreUnavailableError

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between attempts while Clerk or the database is unreachable, with jitter; after a 429, Clerk's `Retry-After`."""

T = TypeVar("T")


@frozen
class Retry:
    """Retry temporary failures, for at most `limit_s` seconds without a success."""

    limit_s: float
    clock: Callable[[], float]  # monotonic seconds
    sleep: Callable[[float], Awaitable[None]]
    on_wait: Callable[[str, float], None]  # called with each reason to wait, and the seconds

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the result, or raise ClerkUnavailableError or StoreUnavailableError if it fails for longer."""
        since, pause = self.clock(), SHORTEST_PAUSE_S
        while True:
            try:
                return await ask()
            except ClerkKeyRefusedError:
                raise
            except (ClerkUnavailableError, StoreUnavailableError) as error:
                wait = pause * random.uniform(0.5, 1)  # noqa: S311  # jitter, not a secret
                if isinstance(error, ClerkLimitedError):
                    wait += error.retry_after_s
                if self.clock() + wait - since > self.limit_s:
                    raise
                self.on_wait(str(error), wait)
                await self.sleep(wait)
                pause = min(pause * 2, LONGEST_PAUSE_S)


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all concurrently; if one fails, the others are cancelled before its error is raised."""
    tasks = [asyncio.create_task(part) for part in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
