"""`/schema`: the OpenAPI document, and a page to read it."""

from functools import cache

import msgspec
from litestar import Response, get

from entrypoints.http.openapi.document import document
from entrypoints.http.openapi.page import page
from entrypoints.http.routes.handlers import HANDLERS, INJECTED

NO_SCRIPT = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}


@get("/schema/openapi.json", include_in_schema=False)
async def read_document() -> Response[bytes]:
    return Response(openapi_json(), media_type="application/vnd.oai.openapi+json")


@get("/schema", include_in_schema=False)
async def read_page() -> Response[bytes]:
    return Response(_page(), media_type="text/html", headers=NO_SCRIPT)


@cache
def openapi_json() -> bytes:
    """Return the OpenAPI document; made at the first request, as few processes are ever asked."""
    return msgspec.json.format(msgspec.json.encode(document(HANDLERS, INJECTED)), indent=2)


@cache
def _page() -> bytes:
    return page(document(HANDLERS, INJECTED)).encode()
