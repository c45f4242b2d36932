"""Keeps requests to Clerk within its rate limit."""

import asyncio
import time

from attrs import define

WINDOW_S = 10.0  # Clerk counts requests in this time (Clerk, System limits)


@define(eq=False)
class Throttle:
    """A token bucket: a fifth of a window's requests at once, the rest evenly, so that no window has too many."""

    in_window: int
    _left: float = 0.0
    _at: float = float("-inf")
    _not_before: float = float("-inf")

    async def take(self) -> None:
        """Wait for one request's turn."""
        while wait := self._take(time.monotonic()):  # noqa: ASYNC110  # time passes by itself
            await asyncio.sleep(wait)

    def close_for(self, seconds: float) -> None:
        """Send nothing for so long, because Clerk would answer 429."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def closed_for(self) -> float:
        return self._not_before - time.monotonic()

    def _take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there may be one."""
        if now < self._not_before:
            return self._not_before - now
        burst, rate = self.in_window / 5, self.in_window * 4 / 5 / WINDOW_S
        self._left = min(burst, self._left + (now - self._at) * rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / rate
        self._left -= 1
        return 0.0
