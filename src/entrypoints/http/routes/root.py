"""`/`: where a person who opens the address of the service finds the rest of it."""

from html import escape

from litestar import Response, get

from entrypoints.http.openapi.routes import NO_SCRIPT
from entrypoints.version import VERSION

_LINKS = {
    "/schema": "the HTTP API, to read",
    "/schema/openapi.json": "the same for programs",
    "/health": "the state of each dependency",
}

_PAGE = "\n".join([
    "<!doctype html><html lang=en><meta charset=utf-8><title>auth-service</title>",
    "<meta name=viewport content='width=device-width'><meta name=color-scheme content='light dark'>",
    f"<h1>auth-service {escape(VERSION)}</h1><ul>",
    *(f"<li><a href='{path}'>{path}</a>: {escape(what)}" for path, what in _LINKS.items()),
    "</ul></html>",
])  # fmt: skip


@get("/", include_in_schema=False)
async def read_root() -> Response[bytes]:
    return Response(_PAGE.encode(), media_type="text/html", headers=NO_SCRIPT)
