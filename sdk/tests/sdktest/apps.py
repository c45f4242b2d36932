"""The same small application in four frameworks, behind the middleware."""

from collections.abc import Callable
from typing import Annotated, Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from fastapi import Depends, FastAPI
from fastapi import WebSocket as FastAPIWebSocket
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import WebSocket as LitestarWebSocket
from litestar import get as litestar_get
from litestar import websocket as litestar_websocket
from litestar.params import FromPath
from quart import Quart
from quart import request as quart_request
from quart import websocket as quart_websocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from anomalyze_auth import (
    OPTIONAL,
    PUBLIC,
    Authenticated,
    AuthMiddleware,
    KeysUnavailable,
    PemKey,
    Reason,
    Requirement,
    RevocationsUnavailable,
    SessionVerifier,
    TokenRejected,
    identity_of,
    require,
)
from anomalyze_auth.fastapi import CurrentUser, OptionalUser, requires
from anomalyze_auth.litestar import AuthPlugin
from anomalyze_auth.litestar import CurrentUser as LitestarUser
from anomalyze_auth.litestar import requires as litestar_requires
from sdktest.tokens import ISSUER, NOW, PARTY, pem

KID_OUT_OF_REACH = "ins_outofreach"
COOKIE_SUFFIX = "abcdEF12"
REPORT = Requirement(permission="org:billing:read")
RULES = {
    "/health": PUBLIC,
    "/maybe": OPTIONAL,
    "/admin/*": Requirement(role="org:admin"),
}


class SometimesOutOfReach:
    """A PEM key, but for one kid, for which the keys are out of reach."""

    def __init__(self) -> None:
        self._pem = PemKey(pem())

    def ready(self, key_id: str | None) -> RSAPublicKey | None:
        return None if key_id == KID_OUT_OF_REACH else self._pem.ready(key_id)

    async def find(self, key_id: str | None) -> RSAPublicKey:
        raise KeysUnavailable("out of reach")


class SomeRevoked:
    """Revocations that tell by the session's id; those that follow Kafka have tests of their own."""

    def check(self, caller: Authenticated) -> None:
        if caller.session_id == "sess_unknown":
            raise RevocationsUnavailable("not known")
        if caller.session_id in REVOKED:
            raise TokenRejected(REVOKED[caller.session_id], "Revoked.")


REVOKED = {
    "sess_revoked": Reason.SESSION_REVOKED,
    "sess_of_a_deleted_user": Reason.USER_DELETED,
    "sess_of_a_banned_user": Reason.USER_BANNED,
}


def verifier() -> SessionVerifier:
    return SessionVerifier(
        SometimesOutOfReach(),
        issuer=ISSUER,
        authorized_parties=[PARTY],
        revocations=SomeRevoked(),
        now=lambda: float(NOW),
    )


def settings() -> dict[str, Any]:
    return {"verifier": verifier(), "rules": RULES, "cookie_suffix": COOKIE_SUFFIX}


def shown(caller: Authenticated | None) -> dict[str, Any]:
    return {"user": None if caller is None else caller.user_id}


def starlette_app() -> Any:
    async def whoever(request: Request) -> JSONResponse:
        assert request.user is identity_of(request.scope)
        return JSONResponse(shown(identity_of(request.scope)))

    async def report(request: Request) -> JSONResponse:
        return JSONResponse(shown(require(request.scope, REPORT)))

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(shown(require(websocket.scope)))
        await websocket.close()

    async def report_socket(websocket: WebSocket) -> None:
        require(websocket.scope, REPORT)
        await websocket.accept()
        await websocket.close()

    return Starlette(
        routes=[
            *(
                Route(path, whoever, methods=["GET", "POST", "OPTIONS"])
                for path in ("/me", "/health", "/maybe", "/admin/{name}")
            ),
            Route("/report", report),
            WebSocketRoute("/socket", socket),
            WebSocketRoute("/admin/socket", socket),
            WebSocketRoute("/report-socket", report_socket),
        ],
        middleware=[Middleware(AuthMiddleware, **settings())],
    )


def fastapi_app() -> Any:
    app = FastAPI()
    app.add_middleware(AuthMiddleware, **settings())

    @app.get("/me")
    @app.options("/me", include_in_schema=False)
    async def me(caller: OptionalUser) -> dict[str, Any]:
        return shown(caller)

    @app.get("/health")
    @app.get("/maybe")
    async def maybe(caller: OptionalUser) -> dict[str, Any]:
        return shown(caller)

    @app.get("/admin/{name}")
    async def admin(name: str, caller: CurrentUser) -> dict[str, Any]:
        return shown(caller)

    @app.get("/report")
    async def report(
        caller: Annotated[Authenticated, Depends(requires(permission="org:billing:read"))],
    ) -> dict[str, Any]:
        return shown(caller)

    @app.websocket("/socket")
    @app.websocket("/admin/socket")
    async def socket(websocket: FastAPIWebSocket, caller: CurrentUser) -> None:
        await websocket.accept()
        await websocket.send_json(shown(caller))
        await websocket.close()

    @app.websocket("/report-socket")
    async def report_socket(
        websocket: FastAPIWebSocket,
        caller: Annotated[Authenticated, Depends(requires(permission="org:billing:read"))],
    ) -> None:
        await websocket.accept()
        await websocket.close()

    return app


def litestar_app() -> Any:
    @litestar_get(["/me", "/health", "/maybe"])
    async def whoever(request: LitestarRequest[Any, Any, Any]) -> dict[str, Any]:
        assert request.user is identity_of(request.scope)
        return shown(identity_of(request.scope))

    @litestar_get("/admin/{name:str}")
    async def admin(name: FromPath[str], current_user: LitestarUser) -> dict[str, Any]:
        return shown(current_user)

    @litestar_get("/report", guards=[litestar_requires(permission="org:billing:read")])
    async def report(current_user: LitestarUser) -> dict[str, Any]:
        return shown(current_user)

    @litestar_websocket(["/socket", "/admin/socket"])
    async def socket(socket: LitestarWebSocket[Any, Any, Any], current_user: LitestarUser) -> None:
        await socket.accept()
        await socket.send_json(shown(current_user))
        await socket.close()

    @litestar_websocket("/report-socket", guards=[litestar_requires(permission="org:billing:read")])
    async def report_socket(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.close()

    return Litestar([whoever, admin, report, socket, report_socket], plugins=[AuthPlugin(**settings())])


def quart_app() -> Any:
    app = Quart(__name__)
    rules = {**RULES, "/report": REPORT, "/report-socket": REPORT}
    app.asgi_app = AuthMiddleware(app.asgi_app, **{**settings(), "rules": rules})  # type: ignore[assignment]  # ASGI types of its own

    @app.get("/me")
    @app.get("/health")
    @app.get("/maybe")
    @app.get("/report")
    async def whoever() -> dict[str, Any]:
        return shown(identity_of(quart_request.scope))

    @app.get("/admin/<name>")
    async def admin(name: str) -> dict[str, Any]:
        return shown(require(quart_request.scope))

    @app.websocket("/socket")
    @app.websocket("/admin/socket")
    async def socket() -> None:
        await quart_websocket.accept()
        await quart_websocket.send_json(shown(require(quart_websocket.scope)))

    @app.websocket("/report-socket")
    async def report_socket() -> None:
        await quart_websocket.accept()

    return app


APPS: dict[str, Callable[[], Any]] = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "quart": quart_app,
}
