"""Clerk's rate limits (Clerk docs, "System limits")."""

import math
import threading
from collections.abc import Callable

from attrs import frozen


@frozen(kw_only=True)
class RateLimits:
    """Requests within a window, of the whole instance and of one user's profile and metadata; `None`: unlimited."""

    requests: int | None = 1000
    """A development instance has 100."""
    changes_per_user: int | None = 10
    """PATCH of a user, PATCH and PUT of the metadata."""
    window_s: float = 10.0


class RateLimiter:
    """Counts requests in fixed windows."""

    def __init__(self, limits: RateLimits, now_ms: Callable[[], int]) -> None:
        self.limits = limits
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._window = -1
        self._counts: dict[str, int] = {}

    def refuses(self, changed_user: str | None) -> int | None:
        """Count a request; return the seconds to wait when it is one too many."""
        window_ms = self.limits.window_s * 1000
        now_ms = self._now_ms()
        wanted = [("", self.limits.requests)]
        if changed_user:
            wanted.append((changed_user, self.limits.changes_per_user))
        with self._lock:
            window = int(now_ms // window_ms)
            if window != self._window:
                self._window, self._counts = window, {}
            if all(limit is None or self._counts.get(key, 0) < limit for key, limit in wanted):
                self._counts |= {key: self._counts.get(key, 0) + 1 for key, _ in wanted}
                return None
        return max(1, math.ceil(((window + 1) * window_ms - now_ms) / 1000))
