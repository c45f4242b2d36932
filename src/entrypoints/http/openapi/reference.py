"""The page that renders the OpenAPI document: Scalar's API reference, from this service alone (scalar/README.md)."""

import gzip
import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

VERSION = "1.72.1"
SHA256 = "bf091006bdc3af6067af77c2f534812e3e633e94a94e87138069f570f33b762c"
"""Of `dist/browser/standalone.js` in the npm package `@scalar/api-reference`."""

SCRIPT = f"/schema/scalar-{VERSION}.js"  # the address changes with the content, so browsers may keep it

_CONFIGURATION = {
    "url": "/schema/openapi.json",
    "documentDownloadType": "direct",
    "showDeveloperTools": "never",
    "defaultOpenAllTags": True,
    # Each of these would ask a server of Scalar's, which the policy below forbids as well.
    "withDefaultFonts": False,
    "telemetry": False,
    "hideClientButton": True,
    "agent": {"disabled": True},
    "mcp": {"disabled": True},
}
_START = f"Scalar.createApiReference('#reference', {json.dumps(_CONFIGURATION)})"

PAGE = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>auth-service: HTTP API</title>"
    "<meta name=viewport content='width=device-width, initial-scale=1'><link rel=icon href='data:,'></head>"
    "<body><div id=reference></div><noscript>The document for programs: <a href='/schema/openapi.json'>openapi.json</a>"
    f"</noscript><script src='{SCRIPT}'></script><script>{_START}</script></body></html>"
).encode()

POLICY = "; ".join((
    "default-src 'none'",
    f"script-src 'self' 'sha256-{b64encode(sha256(_START.encode()).digest()).decode()}'",
    "style-src 'unsafe-inline'",  # Scalar sets styles of elements, which no nonce admits
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip


@cache
def script(*, compressed: bool) -> bytes:
    """Return Scalar's program; read at the first request, as few processes are ever asked."""
    packed = (Path(__file__).parent / "scalar" / "api-reference.js.gz").read_bytes()
    return packed if compressed else gzip.decompress(packed)
