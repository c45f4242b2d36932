"""One application with every kind of route, in four frameworks: each answer says which path its route stands for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import asgi as litestar_asgi
from litestar import get as litestar_get
from litestar.params import FromPath
from litestar.static_files import create_static_files_router
from quart import Quart, send_from_directory
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

FILES = ("public/a.txt", "private/b.txt")


def write_files(folder: Path) -> None:
    """Each file holds the path at which it is served."""
    for name in FILES:
        (folder / name).parent.mkdir()
        (folder / name).write_text(f"/static/{name}")


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    """An application below a mount: it says what is left of the path, whatever that is."""
    path = scope["path"]
    if "litestar_app" not in scope:
        path = path.removeprefix(scope["root_path"])
    body = f"/mnt/{path.strip('/')}".encode("utf-8", "surrogateescape")
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def starlette_routes(folder: Path) -> list[Any]:
    async def fixed(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.scope["route"].path)

    async def admin(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"/admin/{request.path_params['name']}")

    async def files(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"/files/{request.path_params['path']}")

    async def rest(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"/{request.path_params['path']}")

    return [
        *(Route(path, fixed) for path in ("/", "/health", "/admin", "/admin/open")),
        Route("/admin/{name}", admin),
        Route("/files/{path:path}", files),
        Mount("/mnt", mounted),
        Mount("/static", StaticFiles(directory=folder)),
        Route("/{path:path}", rest),
    ]


def starlette_app(folder: Path) -> Any:
    return Starlette(routes=starlette_routes(folder))


def fastapi_app(folder: Path) -> Any:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    async def fixed(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.scope["route"].path)

    for path in ("/", "/health", "/admin", "/admin/open"):
        app.get(path)(fixed)

    @app.get("/admin/{name}")
    async def admin(name: str) -> PlainTextResponse:
        return PlainTextResponse(f"/admin/{name}")

    @app.get("/files/{path:path}")
    async def files(path: str) -> PlainTextResponse:
        return PlainTextResponse(f"/files/{path}")

    app.mount("/mnt", mounted)
    app.mount("/static", StaticFiles(directory=folder))

    @app.get("/{path:path}")
    async def rest(path: str) -> PlainTextResponse:
        return PlainTextResponse(f"/{path}")

    return app


def litestar_app(folder: Path, plugins: Any = ()) -> Any:
    @litestar_get(["/", "/health", "/admin", "/admin/open"], media_type="text/plain")
    async def fixed(request: LitestarRequest[Any, Any, Any]) -> str:
        return str(request.scope["path_template"])

    @litestar_get("/admin/{name:str}", media_type="text/plain")
    async def admin(name: FromPath[str]) -> str:
        return f"/admin/{name}"

    @litestar_get("/files/{path:path}", media_type="text/plain")
    async def files(path: FromPath[str]) -> str:
        return f"/files/{path.lstrip('/')}"

    @litestar_asgi("/mnt", is_mount=True, copy_scope=True)
    async def mount(scope: Any, receive: Any, send: Any) -> None:
        await mounted(scope, receive, send)

    static = create_static_files_router(path="/static", directories=[folder])
    return Litestar(
        [fixed, admin, files, mount, static], plugins=list(plugins), openapi_config=None, logging_config=None
    )


def quart_app(folder: Path) -> Any:
    app = Quart(__name__, static_folder=None)

    for path in ("/", "/health", "/admin", "/admin/open"):
        app.add_url_rule(path, path, _answering(path))

    @app.get("/admin/<name>")
    async def admin(name: str) -> str:
        return f"/admin/{name}"

    @app.get("/files/<path:path>")
    async def files(path: str) -> str:
        return f"/files/{path}"

    @app.get("/mnt/<path:path>")
    async def mount(path: str) -> str:
        return f"/mnt/{path}"

    @app.get("/static/<path:path>")
    async def static(path: str) -> Any:
        return await send_from_directory(folder, path)

    @app.get("/<path:path>")
    async def rest(path: str) -> str:
        return f"/{path}"

    return app


def _answering(text: str) -> Callable[[], Any]:
    async def answer() -> str:
        return text

    return answer


PATH_APPS: dict[str, Callable[[Path], Any]] = {
    "starlette": starlette_app,
    "fastapi": fastapi_app,
    "litestar": litestar_app,
    "quart": quart_app,
}


def protected(framework: str, folder: Path, **settings: Any) -> Any:
    """The application behind the middleware, put there as the README says."""
    from anomalyze_auth import AuthMiddleware  # noqa: PLC0415
    from anomalyze_auth.litestar import AuthPlugin  # noqa: PLC0415

    if framework == "litestar":
        return litestar_app(folder, [AuthPlugin(**settings)])
    app = PATH_APPS[framework](folder)
    if framework == "quart":
        app.asgi_app = AuthMiddleware(app.asgi_app, **settings)
    else:
        app.add_middleware(AuthMiddleware, **settings)
    return app
