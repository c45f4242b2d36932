"""`POST /v1/users/{id}/…`: act on a user at Clerk; our row and its events follow before the answer is sent."""

from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from application import errors as application
from application.users.manage_users import ManageUsers
from application.users.representation import ProfileDocument, TombstoneDocument, user_document
from domain.decision import Decision
from domain.user import UserId
from entrypoints.http.dependencies import Injected
from entrypoints.http.openapi.document import MANAGERS, problems
from entrypoints.http.problems import (
    BODY_SHED,
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    CLIENT_DISCONNECTED,
    IMPERSONATED,
    REQUEST_NOT_VALID,
    USER_GONE,
)  # fmt: skip
from entrypoints.http.users.admission import ADMISSION_ERRORS
from entrypoints.http.users.management import AnyRequest, Management
from entrypoints.http.users.requests import metadata_patch, nothing

Perform = Callable[[UserId, bytes], Awaitable[Decision]]

_ERRORS = (
    *ADMISSION_ERRORS, IMPERSONATED, CLIENT_DISCONNECTED, BODY_TOO_SLOW, BODY_SHED, BODY_TOO_LARGE, REQUEST_NOT_VALID,
    application.UserUnknownError, USER_GONE, application.UnstorableError, application.ClerkRefusedError,
    application.ClerkNotConfiguredError, application.SafetyStopError,
)  # fmt: skip


class ActionDocument(TypedDict):
    """What came of it here (`unchanged`: it was so already), and the user as Clerk has it now."""

    outcome: str
    user: ProfileDocument | TombstoneDocument


class RevokedDocument(TypedDict):
    """How many sessions were active and are ended."""

    revoked: int


def _action(name: str, summary: str) -> Callable[[Callable[..., Awaitable[Any]]], HTTPRouteHandler]:
    return post(
        f"/v1/users/{{user_id:str}}/{name}",
        status_code=200,
        summary=summary,
        security=MANAGERS,
        responses=problems(*_ERRORS),
    )


def _change(name: str, summary: str, act: Callable[[ManageUsers, UserId], Awaitable[Decision]]) -> HTTPRouteHandler:
    """Return the handler of an action that takes no body, and of which a second time changes nothing."""

    async def handle(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
        def perform(target: UserId, body: bytes) -> Awaitable[Decision]:
            nothing(body)
            return act(management.manage_users, target)

        return await _act(request, user_id, management, name, perform)

    handle.__name__ = name  # which is in the operation's id
    return _action(name, summary)(handle)


ban = _change("ban", "Ban a user", ManageUsers.ban)
unban = _change("unban", "Unban a user", ManageUsers.unban)
lock = _change("lock", "Lock a user", ManageUsers.lock)
unlock = _change("unlock", "Unlock a user", ManageUsers.unlock)
sync = _change("sync", "Sync a user from Clerk", ManageUsers.sync)
delete = _change("delete", "Delete a user", ManageUsers.delete)


@_action("set-metadata", "Merge into a user's public metadata")
async def set_metadata(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
    """Merge as Clerk does: objects into objects, deeply; a key that is null is removed; everything else replaces."""

    def perform(target: UserId, body: bytes) -> Awaitable[Decision]:
        return management.manage_users.set_public_metadata(target, metadata_patch(body))

    return await _act(request, user_id, management, "set-metadata", perform)


@_action("revoke-sessions", "End a user's sessions")
async def revoke_sessions(
    request: AnyRequest, user_id: FromPath[str], management: Injected[Management]
) -> RevokedDocument:
    """Sign the user out everywhere: services that check for revoked sessions refuse their tokens from now on."""

    def perform(target: UserId, body: bytes) -> Awaitable[int]:
        nothing(body)
        return management.manage_users.revoke_sessions(target)

    count = await management.act(request, user_id, "revoke-sessions", perform, lambda _: "revoked")
    return {"revoked": count}


async def _act(
    request: AnyRequest, user_id: str, management: Management, action: str, perform: Perform
) -> ActionDocument:
    decision = await management.act(request, user_id, action, perform, lambda decision: decision.outcome)
    return {"outcome": decision.outcome, "user": user_document(decision.user)}
