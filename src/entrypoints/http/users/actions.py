"""`POST /v1/users/{id}/…`: act on a user at Clerk; our row and its events follow before the answer is sent."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from application import errors as application
from application.users.manage_users import ManageUsers
from application.users.representation import ProfileDocument, TombstoneDocument, user_document
from domain.decision import Decision
from entrypoints.http import problems as http
from entrypoints.http.dependencies import Injected
from entrypoints.http.openapi.document import MANAGERS, problems
from entrypoints.http.users.admission import ADMISSION_ERRORS
from entrypoints.http.users.management import AnyRequest, Management
from entrypoints.http.users.requests import metadata_patch, nothing

_ERRORS = (
    *ADMISSION_ERRORS, http.IMPERSONATED, http.CLIENT_DISCONNECTED, http.BODY_TOO_SLOW, http.BODY_SHED,
    http.BODY_TOO_LARGE, http.REQUEST_NOT_VALID, application.UserUnknownError, http.USER_GONE,
    application.UnstorableError, application.ClerkRefusedError, application.ClerkNotConfiguredError,
    application.SafetyStopError,
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


def _change(
    name: str,
    summary: str,
    act: Callable[..., Awaitable[Decision]],
    *,
    read: Callable[[bytes], Sequence[Any]] = nothing,
    says: str | None = None,
) -> HTTPRouteHandler:
    """Return the handler of an action on a user; `says` is its description in the OpenAPI document."""

    async def handle(request: AnyRequest, user_id: FromPath[str], management: Injected[Management]) -> ActionDocument:
        decision = await management.act(request, user_id, name, act, read)
        return {"outcome": decision.outcome, "user": user_document(decision.user)}

    handle.__name__ = name.replace("-", "_")  # which is in the operation's id
    handle.__doc__ = says
    return _action(name, summary)(handle)


@_action("revoke-sessions", "End a user's sessions")
async def revoke_sessions(
    request: AnyRequest, user_id: FromPath[str], management: Injected[Management]
) -> RevokedDocument:
    """Sign the user out everywhere: services that check for revoked sessions refuse their tokens from now on."""
    return {"revoked": await management.act(request, user_id, "revoke-sessions", ManageUsers.revoke_sessions, nothing)}


ACTIONS = (
    _change("ban", "Ban a user", ManageUsers.ban),
    _change("unban", "Unban a user", ManageUsers.unban),
    _change("lock", "Lock a user", ManageUsers.lock),
    _change("unlock", "Unlock a user", ManageUsers.unlock),
    _change(
        "set-metadata",
        "Merge into a user's public metadata",
        ManageUsers.set_public_metadata,
        read=lambda body: [metadata_patch(body)],
        says="Merge as Clerk does: objects into objects, deeply; a key that is null is removed; everything else "
        "replaces.",
    ),
    revoke_sessions,
    _change("sync", "Sync a user from Clerk", ManageUsers.sync),
    _change("delete", "Delete a user", ManageUsers.delete),
)
