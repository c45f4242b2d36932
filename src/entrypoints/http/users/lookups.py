"""`GET /v1/users…`: look users up."""

from typing import TypedDict

from litestar import Response, get
from litestar.params import FromPath

from application.errors import UnstorableError, UserUnknownError
from application.users.representation import ProfileDocument, profile_document
from entrypoints.http.authentication import FLOOR_ERRORS
from entrypoints.http.dependencies import Injected
from entrypoints.http.floor import min_version_in
from entrypoints.http.openapi.document import MANAGERS, problems
from entrypoints.http.problems import REQUEST_NOT_VALID, USER_GONE
from entrypoints.http.users.admission import ADMISSION_ERRORS
from entrypoints.http.users.management import AnyRequest, Management
from entrypoints.http.users.requests import ByEmail, ByIds, named_user, wanted_users

_PRIVATE = {"cache-control": "no-store"}


class UsersDocument(TypedDict):
    """Users in the order they were asked for, and the ids of those that we do not have (never seen, or deleted)."""

    users: list[ProfileDocument]
    missing: list[str]


@get(
    "/v1/users/{user_id:str}",
    summary="Read a user",
    security=MANAGERS,
    responses=problems(
        *ADMISSION_ERRORS, *FLOOR_ERRORS, REQUEST_NOT_VALID, UserUnknownError, USER_GONE, UnstorableError
    ),
)
async def read_user(
    request: AnyRequest, user_id: FromPath[str], management: Injected[Management]
) -> Response[ProfileDocument]:
    """Answer the profile, not older than `min_version`, from Clerk if no webhook came yet; 410 if it was deleted."""
    user = await management.look(
        request,
        lambda: management.get_user(named_user(user_id), min_version=min_version_in(request.scope["query_string"])),
    )
    return Response(profile_document(user), headers=_PRIVATE)


@get(
    "/v1/users",
    summary="Read several users",
    security=MANAGERS,
    responses=problems(*ADMISSION_ERRORS, *FLOOR_ERRORS, REQUEST_NOT_VALID),
)
async def read_users(request: AnyRequest, management: Injected[Management]) -> Response[UsersDocument]:
    """Answer the users with these ids, none older than `min_version`, or all with this email; Clerk is not asked."""
    document = await management.look(request, lambda: _found(management, request.scope["query_string"]))
    return Response(document, headers=_PRIVATE)


async def _found(management: Management, query: bytes) -> UsersDocument:
    match wanted_users(query):
        case ByIds(ids):
            found = await management.list_users.by_ids(ids, min_version=min_version_in(query))
        case ByEmail(email):
            found = await management.list_users.by_email(email)
    return {"users": [profile_document(user) for user in found.users], "missing": [*found.missing]}
