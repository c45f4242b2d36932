"""Litestar: a plugin that installs `AuthMiddleware`, and guards."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from litestar import Request, Response
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.enums import ScopeType
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.plugins import InitPlugin
from litestar.types import Scope

from anomalyze_auth.access import REQUIRED, Requirement, Rule
from anomalyze_auth.identity import Authenticated
from anomalyze_auth.middleware import CLOSE_CODES, AuthMiddleware, require
from anomalyze_auth.problems import Refused
from anomalyze_auth.verifier import SessionVerifier

__all__ = ["AuthPlugin", "CurrentUser", "requires"]

CurrentUser = NamedDependency[Authenticated]
"""The caller, for a handler's parameter `current_user`; 401 for an anonymous one."""

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]


class AuthPlugin(InitPlugin):
    """Puts every route behind `AuthMiddleware` (same arguments) and gives handlers `current_user: CurrentUser`."""

    def __init__(
        self,
        verifier: SessionVerifier,
        *,
        rules: Mapping[str, Rule] | None = None,
        default: Rule = REQUIRED,
        cookie_suffix: str | None = None,
        cookies: bool = True,
    ) -> None:
        self._middleware = DefineMiddleware(
            cast("Any", AuthMiddleware),  # Litestar has a type for each ASGI message
            verifier=verifier,
            rules=rules,
            default=default,
            cookie_suffix=cookie_suffix,
            cookies=cookies,
        )

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.middleware.insert(0, self._middleware)
        app_config.dependencies["current_user"] = Provide(_current_user, sync_to_thread=False)
        app_config.exception_handlers[Refused] = _answer
        return app_config


def requires(
    *,
    organization: bool | str = False,
    role: str | None = None,
    permission: str | None = None,
    in_person: bool = False,
) -> Guard:
    """Guard: admits callers who meet this requirement (see `Requirement`); others get 403, anonymous ones 401."""
    requirement = Requirement(organization=organization, role=role, permission=permission, in_person=in_person)

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        _required(connection.scope, requirement)

    return guard


def _current_user(scope: Scope) -> Authenticated:
    return _required(scope, None)


def _required(scope: Scope, requirement: Requirement | None) -> Authenticated:
    try:
        return require(scope, requirement)
    except Refused as refused:
        if scope["type"] == ScopeType.HTTP:
            raise
        # Litestar has no exception handlers for WebSockets: any other exception closes with 4500.
        problem = refused.problem
        raise WebSocketException(detail=problem.code, code=CLOSE_CODES[problem.status]) from None


def _answer(_: Request[Any, Any, Any], refused: Refused) -> Response[bytes]:
    problem = refused.problem
    headers = problem.headers()
    media_type = headers.pop("content-type")
    return Response(problem.body(), status_code=problem.status, headers=headers, media_type=media_type)
