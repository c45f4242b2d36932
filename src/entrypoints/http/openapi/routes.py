"""`/schema`: the OpenAPI document, and a page to read and try it."""

from functools import cache
from typing import Any

import msgspec
from litestar import Request, Response, get

from entrypoints.http.negotiation import preference
from entrypoints.http.openapi import reference
from entrypoints.http.openapi.document import document
from entrypoints.http.routes.handlers import HANDLERS, INJECTED


@get("/schema/openapi.json", include_in_schema=False)
async def read_document() -> Response[bytes]:
    return Response(openapi_json(), media_type="application/vnd.oai.openapi+json")


@get("/schema", include_in_schema=False)
async def read_page() -> Response[bytes]:
    headers = {"content-security-policy": reference.POLICY, "referrer-policy": "no-referrer"}
    return Response(reference.PAGE, media_type="text/html", headers=headers)


@get(reference.SCRIPT, include_in_schema=False)
async def read_script(request: Request[Any, Any, Any]) -> Response[bytes]:
    accepted = request.headers.getall("accept-encoding", [])
    gzip = preference(accepted, "gzip", "*")
    compressed = gzip[0] > 0 and gzip >= preference(accepted, "identity")
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    if compressed:
        headers["content-encoding"] = "gzip"
    return Response(reference.script(compressed=compressed), media_type="text/javascript", headers=headers)


@cache
def openapi_json() -> bytes:
    """Return the OpenAPI document; made at the first request, as few processes are ever asked."""
    return msgspec.json.format(msgspec.json.encode(document(HANDLERS, INJECTED)), indent=2)
