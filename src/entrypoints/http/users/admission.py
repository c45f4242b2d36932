"""Who may manage users: another service by its key, or a person by a permission in the session token."""

from collections.abc import Iterable

from attrs import frozen

from anomalyze_auth import Authenticated, KeysUnavailable, TokenRejected, bearer_token
from application.errors import UserUnknownError
from entrypoints.config.service_keys import ANY_ORGANIZATION, PREFIX, READ, ServiceKey, key_of
from entrypoints.http import problems
from entrypoints.http.authentication import USER_ERRORS, Authentication

ADMISSION_ERRORS = (
    problems.CREDENTIALS_MISSING, problems.SERVICE_KEY_NOT_VALID, TokenRejected, KeysUnavailable, *USER_ERRORS,
    problems.NOT_ADMITTED, problems.PERMISSION_MISSING, problems.SCOPE_MISSING,
)  # fmt: skip


Caller = ServiceKey | Authenticated  # another service, by its key, or a person, by a session


def described(caller: Caller) -> dict[str, str | None]:
    """Name the caller for the log: ids alone."""
    if isinstance(caller, ServiceKey):
        return {"by_service": caller.name}
    return {
        "by_user": caller.user_id,
        "by_session": caller.session_id,
        "by_actor": caller.actor_id,
        "by_organization": caller.organization.id if caller.organization else None,
    }


@frozen(kw_only=True)
class Admission:
    authentication: Authentication
    keys: tuple[ServiceKey, ...]
    permission: str
    organizations: tuple[str, ...]  # where the permission counts: nowhere when empty, anywhere with `ANY_ORGANIZATION`

    async def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Return who is calling, by the Authorization header alone.

        A browser adds the session cookie to requests that its user never meant, so no cookie may ban anybody.
        Raises CREDENTIALS_MISSING, SERVICE_KEY_NOT_VALID, and as `Authentication.identity_of`.
        """
        credentials = bearer_token(headers)
        if credentials is None:
            raise problems.HttpError(problems.CREDENTIALS_MISSING)
        if not credentials.startswith(PREFIX):
            return await self.authentication.identity_of(credentials)
        key = key_of(credentials, self.keys)
        if key is None:
            raise problems.HttpError(problems.SERVICE_KEY_NOT_VALID)
        return key

    async def admit(self, caller: Caller, scope: str) -> None:
        """Return when the caller may look at users (`READ`), or act on them in this way (any other scope).

        Raises SCOPE_MISSING, PERMISSION_MISSING, IMPERSONATED (such a session may look users up, and not
        act), NOT_ADMITTED, and as `Authentication.user_of`: our own row of the caller may say no.
        """
        if isinstance(caller, ServiceKey):
            if not caller.may(scope):
                raise problems.HttpError(problems.SCOPE_MISSING)
            return
        organization = caller.organization
        counts = organization is not None and not {organization.id, ANY_ORGANIZATION}.isdisjoint(self.organizations)
        if not counts or not caller.has_permission(self.permission):
            raise problems.HttpError(problems.PERMISSION_MISSING)
        if scope != READ and caller.actor_id is not None:
            raise problems.HttpError(problems.IMPERSONATED)
        try:
            await self.authentication.user_of(caller)
        except UserUnknownError:
            raise problems.HttpError(problems.NOT_ADMITTED) from None
