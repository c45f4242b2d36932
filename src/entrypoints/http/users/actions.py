"""`POST /v1/users/{id}/…`: act on a user at Clerk; our row and its events follow before the answer is sent."""

from collections.abc import Awaitable, Callable
from typing import Any, TypedDict

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from application import errors as application
from application.users.representation import ProfileDocument, TombstoneDocument, user_document
from domain.decision import Decision
from domain.user import UserId
from entrypoints.http import errors as http
from entrypoints.http.dependencies import Injected
from entrypoints.http.openapi.document import MANAGERS, problems
from entrypoints.http.users.admission import ADMISSION_ERRORS
from entrypoints.http.users.management import Management
from entrypoints.http.users.requests import metadata_patch, nothing

AnyRequest = Request[Any, Any, Any]


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
        responses=problems(
            *ADMISSION_ERRORS,
            http.ImpersonatedError,
            http.ClientDisconnectedError,
            http.BodyTooSlowError,
            http.BodyShedError,
            http.BodyTooLargeError,
            http.RequestNotValidError,
            application.UserUnknownError,
            http.UserGoneError,
            application.UnstorableError,
            application.ClerkRefusedError,
            application.ClerkNotConfiguredError,
            application.SafetyStopError,
        ),
    )


@_action("ban", "Ban a user")
async def ban(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
    """End the user's sessions and refuse new ones, until unbanned. A second time changes nothing."""
    return await _change(request, user_id, management, "ban", management.manage_users.ban)


@_action("unban", "Unban a user")
async def unban(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
    """Let the user sign in again. A second time changes nothing."""
    return await _change(request, user_id, management, "unban", management.manage_users.unban)


@_action("lock", "Lock a user")
async def lock(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
    """Refuse sign-ins for the time that the Clerk instance is set to; sessions go on. A second time changes nothing."""
    return await _change(request, user_id, management, "lock", management.manage_users.lock)


@_action("unlock", "Unlock a user")
async def unlock(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
    """Let the user sign in again before the lock ends by itself. A second time changes nothing."""
    return await _change(request, user_id, management, "unlock", management.manage_users.unlock)


@_action("sync", "Sync a user from Clerk")
async def sync(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
    """Read the user from Clerk, and repair our row if a webhook was missed."""
    return await _change(request, user_id, management, "sync", management.manage_users.sync)


@_action("delete", "Delete a user")
async def delete(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
    """Delete the user at Clerk and erase every personal field here, for ever."""
    return await _change(request, user_id, management, "delete", management.manage_users.delete)


@_action("set-metadata", "Merge into a user's public metadata")
async def set_metadata(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
    """Merge as Clerk does: objects into objects, deeply; a key that is null is removed; everything else replaces."""

    def perform(target: UserId, body: bytes) -> Awaitable[Decision]:
        return management.manage_users.set_public_metadata(target, metadata_patch(body))

    return _document(await management.act(request, user_id, "set-metadata", perform, _outcome))


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


async def _change(
    request: AnyRequest,
    user_id: str,
    management: Management,
    action: str,
    use_case: Callable[[UserId], Awaitable[Decision]],
) -> ActionDocument:
    def perform(target: UserId, body: bytes) -> Awaitable[Decision]:
        nothing(body)
        return use_case(target)

    return _document(await management.act(request, user_id, action, perform, _outcome))


def _outcome(decision: Decision) -> str:
    return decision.outcome


def _document(decision: Decision) -> ActionDocument:
    return {"outcome": decision.outcome, "user": user_document(decision.user)}
