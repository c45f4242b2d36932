"""The options of a reconcile, what it counts, and what the parts of a run share."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from attrs import define, field, frozen

from application.reconcile.drift import DeletionLimit, Difference, Drift
from application.reconcile.retry import Retry
from domain.user import UserId

PAGE = 500  # Users in one request: Clerk's maximum. It answers a larger limit with 10 (clerk-sdk-python issue 166).


@frozen(kw_only=True)
class ReconcileOptions:
    """What to do."""

    since: int | None = None  # only users that changed since then (ms); such a run finds no deleted user
    user: UserId | None = None  # only this one
    dry_run: bool = False
    allowance: DeletionLimit = field(factory=DeletionLimit)
    patience_s: float = 300.0  # seconds for which Clerk or the database may fail without a success in between
    restart: bool = False  # start from the beginning, even if a run was interrupted


@define(kw_only=True)
class ReconcileProgress:
    """What a run has done so far; a resumed run, since its first start."""

    began_at: int = 0  # milliseconds since 1970
    resumed: bool = False
    at_clerk: int = 0  # users that Clerk counts
    listed: int = 0
    moved: int = 0  # users with equal content and another source version: stored, no event
    found: Counter[Drift] = field(factory=Counter)
    repaired: Counter[Drift] = field(factory=Counter)

    @property
    def left(self) -> int:
        """Differences that remain."""
        return self.found.total() - self.repaired.total()

    def add(self, difference: Difference) -> None:
        self.found[difference.drift] += 1
        self.repaired[difference.drift] += difference.repaired


class ReconcileObserver(Protocol):
    """Receives the progress of a run, and decides whether it may delete."""

    def began(self, progress: ReconcileProgress) -> None: ...
    def progressed(self, progress: ReconcileProgress) -> None: ...
    def differs(self, difference: Difference) -> None: ...
    def waits(self, reason: str, seconds: float) -> None: ...

    async def may_delete(self, gone: Sequence[UserId]) -> bool:
        """Tell whether these users, one or more, may be deleted here, permanently; asked once, at the end of a run."""


@frozen(kw_only=True)
class PageSizes:
    clerk: int = PAGE  # users in one request to Clerk
    overlap: int = 10  # overlap of pages read by offset: if so many users are deleted in between, none is missed
    ours: int = 1000  # users in one statement


@frozen
class Run:
    """One run: what its parts share."""

    options: ReconcileOptions
    progress: ReconcileProgress
    observer: ReconcileObserver
    retry: Retry
    sizes: PageSizes

    def report(self, difference: Difference) -> None:
        """Count a difference, repaired or not, and tell the observer."""
        self.progress.add(difference)
        self.observer.differs(difference)
