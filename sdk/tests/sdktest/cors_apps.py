"""A handler for any method in four frameworks, behind the middleware, with CORS around it as the README says."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from litestar import Litestar
from litestar import asgi as litestar_asgi
from litestar.config.cors import CORSConfig
from quart import Quart
from quart import request as quart_request
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from anomalyze_auth import PUBLIC, AuthMiddleware
from anomalyze_auth.litestar import AuthPlugin
from sdktest.apps import verifier
from sdktest.tokens import PARTY

SETTINGS: dict[str, Any] = {"rules": {"/open": PUBLIC}}
CORS: dict[str, Any] = {
    "allow_origins": [PARTY],
    "allow_methods": ["GET"],
    "allow_headers": ["authorization"],
    "allow_credentials": True,
}
PATHS = ("/any", "/open")


def starlette_app(*, cors: bool) -> Any:
    class Anything(HTTPEndpoint):
        async def dispatch(self) -> None:
            request = Request(self.scope)
            await PlainTextResponse(f"ran {request.method}")(self.scope, self.receive, self.send)

    outside = [Middleware(CORSMiddleware, **CORS)] if cors else []
    return Starlette(
        routes=[Route(path, Anything) for path in PATHS],
        middleware=[*outside, Middleware(AuthMiddleware, verifier=verifier(), **SETTINGS)],
    )


def fastapi_app(*, cors: bool) -> Any:
    app = FastAPI()
    app.add_middleware(AuthMiddleware, verifier=verifier(), **SETTINGS)
    if cors:
        app.add_middleware(CORSMiddleware, **CORS)

    @app.api_route("/any", methods=["GET", "OPTIONS", "POST"])
    @app.api_route("/open", methods=["GET", "OPTIONS", "POST"])
    async def anything(request: FastAPIRequest) -> PlainTextResponse:
        return PlainTextResponse(f"ran {request.method}")

    return app


def litestar_app(*, cors: bool) -> Any:
    @litestar_asgi(list(PATHS), is_mount=True, copy_scope=True)
    async def anything(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(f"ran {scope['method']}")(scope, receive, send)

    return Litestar(
        [anything],
        plugins=[AuthPlugin(verifier(), **SETTINGS)],
        cors_config=CORSConfig(**CORS) if cors else None,
        openapi_config=None,
    )


def quart_app(*, cors: bool) -> Any:
    app = Quart(__name__)

    @app.route("/any", methods=["GET", "OPTIONS", "POST"], provide_automatic_options=False)
    @app.route("/open", methods=["GET", "OPTIONS", "POST"], provide_automatic_options=False)
    async def anything() -> str:
        return f"ran {quart_request.method}"

    behind: Any = AuthMiddleware(app.asgi_app, verifier(), **SETTINGS)
    app.asgi_app = CORSMiddleware(behind, **CORS) if cors else behind  # type: ignore[assignment]  # ASGI types of its own
    return app


CORS_APPS: dict[str, Callable[..., Any]] = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "quart": quart_app,
}
