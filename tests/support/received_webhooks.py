"""Webhooks of a stand-in, as a receiver reads them."""

from collections.abc import Sequence
from typing import Any

from adapters.clerk.webhooks import ClerkWebhooks
from application.users.signing_key import parse_signing_key
from support.http_server import Request
from support.web import SECRET


def lower(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}


def news(request: Request, secret: str = SECRET) -> Any:
    return ClerkWebhooks([parse_signing_key(secret)]).read(lower(request), request.body)


def svix_ids(requests: Sequence[Request]) -> list[str]:
    return [lower(request)["svix-id"] for request in requests]
