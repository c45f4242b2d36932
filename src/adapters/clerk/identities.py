"""Users in Clerk's Backend API, and the actions on them."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.clerk.backend_api import BackendApi, RetryBudget
from adapters.clerk.nesting import decoded
from adapters.clerk.payloads import Identified, snapshot_of
from adapters.clerk.response_capture import ClerkResponse
from application.counting import counted
from application.errors import (
    ClerkKeyRefusedError,
    ClerkRefusedError,
    ClerkUnavailableError,
    UnusableWebhookError,
    UserUnknownError,
)
from application.failure import Cause
from application.users.ports import Listed, Unreadable
from domain.session import InvalidSessionIdError, SessionId, parse_session_id
from domain.snapshot import Deletion, Snapshot
from domain.user import InvalidUserIdError, UserId, parse_user_id

if TYPE_CHECKING:
    from clerk_backend_api import Clerk
    from clerk_backend_api.models import GetUserListRequestTypedDict

INTERACTIVE = RetryBudget(attempts=2, budget_s=3.0)  # for `/v1/me`

BACKGROUND = RetryBudget(attempts=5, budget_s=20.0)  # for commands and services; below the 30 s of most proxies

PAGE_AT_MOST = 500  # Clerk's limit; a request for more is answered with ten users

SESSIONS_AT_MOST = 500

NO_SUCH_USER = "Clerk has no such user"

_SESSION_ID = re.compile(r"sess_[A-Za-z0-9_-]{1,123}", re.ASCII)


class ClerkIdentities:
    """Fills `application.users.ports.ClerkUsers` with the Clerk SDK; `now_ms` is the wall clock."""

    def __init__(self, api: BackendApi, effort: RetryBudget, *, now_ms: Callable[[], int]) -> None:
        self._api = api
        self._effort = effort
        self._now_ms = now_ms

    async def aclose(self) -> None:
        await self._api.aclose()

    async def get(self, user_id: UserId) -> Snapshot | None:
        parse_user_id(user_id)  # the SDK puts it into the path as it is
        read_at = self._now_ms()
        answer = await self._api.ask(lambda clerk: clerk.users.get_async(user_id=user_id), self._effort)
        if _says_not_found(answer):
            return None
        return _user(user_id, _expected(answer), read_at)

    async def page(self, *, created_from: int, offset: int, limit: int) -> Sequence[Listed]:
        request: GetUserListRequestTypedDict = {"order_by": "+created_at", "offset": offset, "limit": _clamped(limit)}
        if created_from > 0:
            # Clerk does not document whether "after" is inclusive.
            request["created_at_after"] = created_from - 1
        return await self._list(request)

    async def recently_updated(self, *, offset: int, limit: int) -> Sequence[Listed]:
        return await self._list({"order_by": "-updated_at", "offset": offset, "limit": _clamped(limit)})

    async def count(self) -> int:
        answer = await self._api.ask(lambda clerk: clerk.users.count_async(request={}), self._effort)
        total: int = _decoded(_expected(answer), _Count, "number of users").total_count
        return total

    async def set_banned(self, user_id: UserId, *, banned: bool) -> Snapshot:
        if banned:
            return await self._act(user_id, lambda clerk: clerk.users.ban_async(user_id=user_id))
        return await self._act(user_id, lambda clerk: clerk.users.unban_async(user_id=user_id))

    async def set_locked(self, user_id: UserId, *, locked: bool) -> Snapshot:
        if locked:
            return await self._act(user_id, lambda clerk: clerk.users.lock_async(user_id=user_id))
        return await self._act(user_id, lambda clerk: clerk.users.unlock_async(user_id=user_id))

    async def merge_public_metadata(self, user_id: UserId, patch: Mapping[str, Any]) -> Snapshot:
        return await self._act(
            user_id,
            lambda clerk: clerk.users.update_metadata_async(user_id=user_id, public_metadata=patch),
            limited_by_itself=True,
        )

    async def active_sessions(self, user_id: UserId) -> Sequence[SessionId]:
        parse_user_id(user_id)  # the SDK puts it into the path as it is
        found: dict[SessionId, None] = {}
        try:
            async with asyncio.timeout(self._effort.budget_s):
                while True:
                    known = len(found)
                    page = await self._active(user_id, offset=known)
                    found |= dict.fromkeys(page)
                    if len(page) < SESSIONS_AT_MOST or len(found) == known:
                        return list(found)
        except TimeoutError:
            what = f"not all sessions listed within {self._effort.budget_s:g} s"
            raise ClerkUnavailableError(what, Cause.NO_ANSWER) from None

    async def revoke_sessions(self, user_id: UserId, ended: Callable[[SessionId], object]) -> None:
        if await self.get(user_id) is None:
            # For an unknown user Clerk returns an empty list of sessions.
            raise UserUnknownError(NO_SUCH_USER)
        revoked = set[SessionId]()
        try:
            async with asyncio.timeout(self._effort.budget_s):  # for all of them, however many and slow they are
                await self._revoke_all(user_id, revoked, ended)
        except TimeoutError:
            what = f"{counted(len(revoked), 'session')} ended within {self._effort.budget_s:g} s, and there are more"
            raise ClerkUnavailableError(what, Cause.NO_ANSWER) from None

    async def _revoke_all(self, user_id: UserId, revoked: set[SessionId], ended: Callable[[SessionId], object]) -> None:
        while True:
            # A session that was just revoked may still be listed.
            left = [session_id for session_id in await self._active(user_id) if session_id not in revoked]
            if not left:
                return
            for session_id in left:
                revoked.add(session_id)
                try:
                    await self._revoke(session_id)
                except asyncio.CancelledError:
                    ended(session_id)  # the time is up, and Clerk may have ended it
                    raise
                ended(session_id)

    async def _active(self, user_id: UserId, *, offset: int = 0) -> list[SessionId]:
        from clerk_backend_api.models import QueryParamStatus  # noqa: PLC0415  # slow, and loaded by now

        answer = await self._api.ask(
            lambda clerk: clerk.sessions.list_async(
                user_id=user_id, status=QueryParamStatus.ACTIVE, limit=SESSIONS_AT_MOST, offset=offset
            ),
            self._effort,
        )
        try:
            return [parse_session_id(one.id) for one in _sessions(_expected(answer))]
        except InvalidSessionIdError:
            raise ClerkUnavailableError("list of sessions", Cause.BAD_ANSWER) from None

    async def delete(self, user_id: UserId) -> Deletion:
        parse_user_id(user_id)  # the SDK puts it into the path as it is
        asked_at = self._now_ms()
        answer = await self._api.ask(lambda clerk: clerk.users.delete_async(user_id=user_id), self._effort)
        if _says_not_found(answer):
            if not answer.unclear:
                raise UserUnknownError(NO_SUCH_USER)
        elif _decoded(_expected(answer, acting=True), Identified, "deletion").id != user_id:
            raise ClerkUnavailableError("it answered with another user", Cause.BAD_ANSWER)
        return Deletion(id=user_id, deleted_at=asked_at)

    async def _act(
        self, user_id: UserId, act: "Callable[[Clerk], Awaitable[object]]", *, limited_by_itself: bool = False
    ) -> Snapshot:
        parse_user_id(user_id)  # the SDK puts it into the path as it is
        asked_at = self._now_ms()
        answer = await self._api.ask(act, self._effort, limited_by_itself=limited_by_itself)
        if _says_not_found(answer):
            raise UserUnknownError(NO_SUCH_USER)
        return _user(user_id, _expected(answer, acting=True), asked_at)

    async def _revoke(self, session_id: str) -> None:
        if not _SESSION_ID.fullmatch(session_id):  # it becomes a part of a path
            raise ClerkUnavailableError("list of sessions", Cause.BAD_ANSWER)
        answer = await self._api.ask(lambda clerk: clerk.sessions.revoke_async(session_id=session_id), self._effort)
        # Expired, or ended by an attempt whose answer was lost.
        if not _says_not_found(answer) and answer.codes != ("invalid_action_for_session",):
            _expected(answer, acting=True)

    async def _list(self, request: "GetUserListRequestTypedDict") -> list[Listed]:
        read_at = self._now_ms()
        answer = await self._api.ask(lambda clerk: clerk.users.list_async(request=request), self._effort)
        return [_listed(user, read_at) for user in _decoded(_expected(answer), list[msgspec.Raw], "list of users")]


class _Count(msgspec.Struct):
    total_count: int


class _Page(msgspec.Struct):
    data: list[Identified]


class _Entry(msgspec.Struct):
    id: str
    created_at: Any = None


def _says_not_found(answer: ClerkResponse) -> bool:
    """Only Clerk's own 404 about the user counts: that of a proxy, or a wrong CLERK_API_URL, must delete no user."""
    return answer.status == HTTPStatus.NOT_FOUND and "resource_not_found" in answer.codes


def _expected(answer: ClerkResponse, *, acting: bool = False) -> bytes:
    """Return the body of a success.

    Raises:
        ClerkRefusedError: Clerk refuses an action; 403 also for what the instance's plan or settings lack.
        ClerkKeyRefusedError: Clerk refuses the key.
        ClerkUnavailableError: anything else.
    """
    status = answer.status
    if status == HTTPStatus.OK:
        return answer.body
    if acting and answer.codes and status != HTTPStatus.UNAUTHORIZED:
        reason = "".join(char for char in answer.message if char.isprintable())
        raise ClerkRefusedError(reason or "no reason given", status=status, codes=answer.codes)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise ClerkKeyRefusedError(f"it answered {status}: check CLERK_SECRET_KEY")
    raise ClerkUnavailableError(f"it answered {status}", Cause.BAD_ANSWER)


def _user(wanted: UserId, body: bytes, read_at: int) -> Snapshot:
    try:
        snapshot = snapshot_of(body, timestamp=read_at)
    except UnusableWebhookError as error:
        raise ClerkUnavailableError(f"user: {error}", Cause.BAD_ANSWER) from None
    if snapshot.id != wanted:
        raise ClerkUnavailableError("it answered with another user", Cause.BAD_ANSWER)
    return snapshot


def _listed(user: msgspec.Raw, read_at: int) -> Listed:
    try:
        return snapshot_of(user, timestamp=read_at)
    except UnusableWebhookError as error:
        entry = _decoded(user, _Entry, "list of users")
        created_at = entry.created_at if isinstance(entry.created_at, int) else None
        try:
            return Unreadable(id=parse_user_id(entry.id), created_at=created_at, reason=str(error))
        except InvalidUserIdError:
            raise ClerkUnavailableError("its list has an entry without a user id", Cause.BAD_ANSWER) from None


def _decoded(body: bytes | msgspec.Raw, shape: Any, what: str) -> Any:
    try:
        return decoded(body, shape)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ClerkUnavailableError(what, Cause.BAD_ANSWER) from None


def _sessions(body: bytes) -> Sequence[Identified]:
    """A plain list, or a page (`paginated`)."""
    found = _decoded(body, list[Identified] | _Page, "list of sessions")
    return found.data if isinstance(found, _Page) else found


def _clamped(limit: int) -> int:
    return max(1, min(limit, PAGE_AT_MOST))
