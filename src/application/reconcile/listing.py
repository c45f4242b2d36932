"""Read all of Clerk's users page by page, while users are created, changed and deleted.

Clerk offers `limit` and `offset`, a lower bound of `created_at`, and one field to order by. So a position is a time of
creation, not an offset, which would shift with each user that is deleted before it; only users created in the same
millisecond, which Clerk returns in any order, are read by offset.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

from attrs import evolve, frozen

from application.errors import ClerkUnavailableError
from application.failure import Cause
from application.reconcile.options import PageSizes, Run
from application.users.ports import ClerkUsers, Listed
from domain.snapshot import Snapshot
from domain.user import UserId

REREADS = 3  # how often the users of one millisecond are read from the beginning because more than that were deleted


@frozen(kw_only=True)
class UserCursor:
    """Where to continue reading, by time of creation."""

    created_from: int = 0  # milliseconds since 1970, inclusive
    offset: int = 0
    seen: frozenset[UserId] = frozenset()
    """Users of `created_from` that were listed before: few, unless thousands were created in one millisecond."""
    rereads: int = 0


@frozen(kw_only=True)
class Complete:
    """`ids` has every user of Clerk's that was created in this span, except those created since it was read."""

    created_from: int
    created_before: int | None  # None when the span has no end
    ids: frozenset[UserId]


@frozen(kw_only=True)
class PageResult:
    """The result of one page."""

    users: Sequence[Listed]  # those that were not listed before
    complete: Complete | None
    next: UserCursor | None  # None at the end of the list


def turn_page(cursor: UserCursor, page: Sequence[Listed], *, sizes: PageSizes, began_at: int) -> PageResult:
    """Decide where to continue after the page read at `cursor`, or raise ClerkUnavailableError: it is not in order.

    The list ends with a short page without a new user, or one that reaches users created since `began_at` (ms). A
    short page alone is not the end: Clerk may return fewer users than requested.
    """
    times = [created for user in page if (created := created_at(user)) is not None]
    _require_order([cursor.created_from, *times])
    newest = times[-1] if times else cursor.created_from
    seen = cursor.seen | {user.id for user in page}
    users = _first_ones(page, cursor.seen)

    if cursor.offset and cursor.seen.isdisjoint(user.id for user in page) and cursor.rereads < REREADS:
        reread = evolve(cursor, offset=0, seen=seen, rereads=cursor.rereads + 1)
        return PageResult(users=users, complete=None, next=reread)
    if len(page) < sizes.clerk and (not users or newest >= began_at):
        complete = Complete(created_from=cursor.created_from, created_before=None, ids=seen)
        return PageResult(users=users, complete=complete, next=None)
    if newest > cursor.created_from:
        complete = Complete(created_from=cursor.created_from, created_before=newest, ids=seen)
        # A user whose time cannot be read may belong there as well.
        again = frozenset(user.id for user in page if created_at(user) in {newest, None})
        return PageResult(users=users, complete=complete, next=UserCursor(created_from=newest, seen=again))
    further = evolve(cursor, offset=cursor.offset + max(1, len(page) - sizes.overlap), seen=seen)
    return PageResult(users=users, complete=None, next=further)


async def by_creation(run: Run, identities: ClerkUsers, cursor: UserCursor | None) -> AsyncGenerator[PageResult, None]:
    """Read from `cursor` to the end of the list; the next page is requested while one is processed."""
    if cursor is None:
        return

    def read(at: UserCursor) -> Coroutine[Any, Any, Sequence[Listed]]:
        page = partial(identities.page, created_from=at.created_from, offset=at.offset, limit=run.sizes.clerk)
        return run.retry(page)

    reading = asyncio.create_task(read(cursor))
    try:
        while True:
            result = turn_page(cursor, await reading, sizes=run.sizes, began_at=run.progress.began_at)
            if result.next is None:
                yield result
                return
            cursor = result.next
            reading = asyncio.create_task(read(cursor))
            yield result
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def by_change(run: Run, identities: ClerkUsers, *, since: int) -> AsyncGenerator[Sequence[Listed], None]:
    """Read the users that changed since then (ms), newest first, or raise ClerkUnavailableError: in another order.

    A user who changes meanwhile moves to the front; the webhook about the change delivers it.
    """
    offset, seen = 0, frozenset[UserId]()
    while True:
        page = await run.retry(partial(identities.recently_updated, offset=offset, limit=run.sizes.clerk))
        times = [user.source.updated_at for user in page if isinstance(user, Snapshot)]
        _require_order(list(reversed(times)))
        users = _first_ones(page, seen)
        yield [user for user in users if not isinstance(user, Snapshot) or user.source.updated_at >= since]
        if (times and times[-1] < since) or (len(page) < run.sizes.clerk and not users):
            return
        offset += max(1, len(page) - run.sizes.overlap)
        seen = frozenset(user.id for user in page)


def created_at(user: Listed) -> int | None:
    """When the user was created at Clerk, ms, if that could be read."""
    return user.profile.created_at if isinstance(user, Snapshot) else user.created_at


def _first_ones(page: Iterable[Listed], seen: frozenset[UserId]) -> list[Listed]:
    by_id: dict[UserId, Listed] = {}
    for user in page:
        if user.id not in seen:
            by_id.setdefault(user.id, user)
    return list(by_id.values())


def _require_order(times: Sequence[int]) -> None:
    if any(later < earlier for earlier, later in itertools.pairwise(times)):
        raise ClerkUnavailableError("its list is not in the requested order", Cause.BAD_ANSWER)
