"""Deadlines of many waits by one timer: a timer of the event loop for each costs more than the rest of a wait."""

import asyncio
from collections.abc import Callable

from attrs import define, field


@define
class Deadlines:
    """Calls what has not been removed in time."""

    _ends: dict[Callable[[], object], float] = field(factory=dict, init=False)
    """By what is called then, in seconds of the loop's clock."""
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)

    def add(self, expire: Callable[[], object], seconds: float) -> None:
        """Call `expire` in so many seconds, unless `remove` comes first."""
        loop = asyncio.get_running_loop()
        ends = self._ends[expire] = loop.time() + seconds
        if self._timer is None or self._loop is not loop or ends < self._timer.when():
            self._wait(loop, ends)

    def remove(self, expire: Callable[[], object]) -> None:
        # The timer stays, because others follow: it finds nothing to do.
        self._ends.pop(expire, None)

    def _wait(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop, self._timer = loop, loop.call_at(until, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for expire in [expire for expire, ends in self._ends.items() if ends <= now]:
            del self._ends[expire]
            expire()
        if self._ends and self._timer is None:
            self._wait(loop, min(self._ends.values()))
