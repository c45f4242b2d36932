"""A caller's place in a batch: what it waits for, and no longer than a statement may take."""

import asyncio
from typing import Generic, TypeVar

from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S
from application.errors import StoreUnavailableError

T = TypeVar("T")


class DeadlineFuture(Generic[T]):
    """One caller's answer; it can also be set after the caller has gone."""

    __slots__ = ("_future", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[T] = self._loop.create_future()

    @property
    def done(self) -> bool:
        """Given, or no longer wanted."""
        return self._future.done()

    def give(self, answer: T) -> None:
        if not self._future.done():
            self._future.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(error)

    async def wait(self) -> T:
        """Return the answer.

        Raises:
            StoreUnavailableError: there was none in time.
        """
        # A timer of the loop: asyncio.timeout() costs five times as much, for every request.
        timer = self._loop.call_later(STATEMENT_TIMEOUT_S, self._expire)
        try:
            return await self._future
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self.fail(StoreUnavailableError(f"{STATEMENT_TIMEOUT_S:g} s"))
