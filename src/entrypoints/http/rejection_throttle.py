"""Bad tokens are answered at a bounded pace, so that a flood of them leaves the time to the good ones (ADR 0019)."""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import define, field

PER_SECOND = 200.0  # rejections that a process answers without delay; one browser whose token ran out meets none
BURST_S = 1.0  # how many seconds' worth may come at once
LONGEST_S = 0.1  # the longest delay: half of the 200 ms that Envoy grants an authorization service by default


@define(eq=False)
class RejectionThrottle:
    """One turn after the other, `PER_SECOND` of them a second; a turn is never more than `LONGEST_S` away.

    A client that waits for its answer before it sends again is slowed down to a few requests a second. One that opens
    ever more connections is not, but each of its rejections costs no more than before.
    """

    clock: Callable[[], float]  # seconds that only ever go forward
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _next: float = field(default=float("-inf"), init=False)

    async def turn(self) -> None:
        now = self.clock()
        self._next = min(max(self._next, now - BURST_S) + 1 / PER_SECOND, now + LONGEST_S)
        if self._next > now:
            await self.sleep(self._next - now)
