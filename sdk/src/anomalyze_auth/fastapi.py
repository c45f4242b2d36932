"""FastAPI dependencies for an application behind `AuthMiddleware`."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from anomalyze_auth.access import Requirement
from anomalyze_auth.identity import Authenticated
from anomalyze_auth.middleware import identity_of, require

__all__ = ["CurrentUser", "OptionalUser", "current_user", "optional_user", "requires"]


class _SessionToken(HTTPBearer):
    """Adds the Bearer token to the OpenAPI document; the middleware has verified it already."""

    async def __call__(self, _: HTTPConnection) -> None:
        return None


_DOCUMENTED = Depends(
    _SessionToken(bearerFormat="JWT", scheme_name="session token", description="A Clerk session token.")
)


def current_user(connection: HTTPConnection, _: Annotated[None, _DOCUMENTED]) -> Authenticated:
    """Dependency: the caller; 401 for an anonymous one."""
    return require(connection.scope)


def optional_user(connection: HTTPConnection, _: Annotated[None, _DOCUMENTED]) -> Authenticated | None:
    """Dependency: the caller, or None for an anonymous one."""
    return identity_of(connection.scope)


def requires(
    *,
    organization: bool | str = False,
    role: str | None = None,
    permission: str | None = None,
    in_person: bool = False,
) -> Callable[..., Authenticated]:
    """Dependency: the caller, who meets this requirement (see `Requirement`); 403 for one who does not."""
    requirement = Requirement(organization=organization, role=role, permission=permission, in_person=in_person)

    def required_user(connection: HTTPConnection, _: Annotated[None, _DOCUMENTED]) -> Authenticated:
        return require(connection.scope, requirement)

    return required_user


CurrentUser = Annotated[Authenticated, Depends(current_user)]
OptionalUser = Annotated[Authenticated | None, Depends(optional_user)]
