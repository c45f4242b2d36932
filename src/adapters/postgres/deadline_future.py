"""The future result of a caller in a batch, with a time limit."""

import asyncio
from typing import Generic, TypeVar

from application.deadlines import Deadlines
from application.errors import StoreUnavailableError

T = TypeVar("T")


class DeadlineFuture(Generic[T]):
    """One caller's answer; setting it after the time limit has no effect."""

    __slots__ = ("_deadlines", "_future", "_limit_s")

    def __init__(self, deadlines: Deadlines, limit_s: float) -> None:
        self._deadlines = deadlines
        self._limit_s = limit_s
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        return self._future.done()

    def give(self, answer: T) -> None:
        if not self._future.done():
            self._future.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(error)

    async def wait(self) -> T:
        """Return the answer, or raise StoreUnavailableError: there was none in time."""
        expire = self._expire
        self._deadlines.add(expire, self._limit_s)
        try:
            return await self._future
        finally:
            self._deadlines.remove(expire)

    def _expire(self) -> None:
        self.fail(StoreUnavailableError(f"{self._limit_s:g} s"))
