"""`/`: links to everything else of the service; a page, or JSON for programs."""

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from entrypoints.http.negotiation import preference
from entrypoints.version import VERSION

NO_SCRIPT = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}

_LINKS = {
    "/schema": "the HTTP API, to read and to try",
    "/schema/openapi.json": "the same for programs",
    "/health": "the state of each dependency",
}

_KINDS = (("application", "json"), ("text", "html"))

_STYLE = """
:root { color-scheme: light dark } a { color: light-dark(#0550ae, #7cb7ff) }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem }
"""


def root_handler(links: Sequence[tuple[str, str]]) -> HTTPRouteHandler:
    """Return the handler of `/`, with the links of this installation below the service's own: name and address."""
    shown = [(path, path, f": {what}") for path, what in _LINKS.items()] + [(url, name, "") for name, url in links]
    page = "\n".join([
        "<!doctype html><html lang=en><meta charset=utf-8><title>auth-service</title>",
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>",
        f"<main><h1>auth-service {escape(VERSION)}</h1><ul>",
        *(f"<li><a href='{escape(url)}'>{escape(name)}</a>{escape(what)}" for url, name, what in shown),
        "</ul></main></html>",
    ]).encode()  # fmt: skip
    document = msgspec.json.encode(
        {
            "service": "auth-service",
            "version": VERSION,
            "links": {"schema": "/schema", "health": "/health", **dict(links)},
        }
    )

    @get("/", include_in_schema=False)
    async def read_root(request: Request[Any, Any, Any]) -> Response[bytes]:
        accept = request.headers.getall("accept", [])
        json, html = [preference(accept, f"{kind}/{name}", f"{kind}/*", "*/*") for kind, name in _KINDS]
        if json > html:
            return Response(document, media_type="application/json", headers={"vary": "accept"})
        return Response(page, media_type="text/html", headers={**NO_SCRIPT, "vary": "accept"})

    return read_root
