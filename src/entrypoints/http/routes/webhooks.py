"""`POST /webhooks/clerk`: where Clerk tells us what happened to a user."""

import re
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import msgspec
from attrs import frozen
from litestar import Request, Response, post
from litestar.types import Scope

from application.errors import (
    ForgedWebhookError,
    StoreBusyError,
    StoreUnavailableError,
    UnstorableError,
    UnusableWebhookError,
)
from application.users.receive_webhook import ReceiveWebhook
from domain.decision import Outcome
from entrypoints.http.dependencies import Injected
from entrypoints.http.middleware.body import read_body, refuse_announced
from entrypoints.http.middleware.request_middleware import note, note_outcome
from entrypoints.http.openapi.document import problems
from entrypoints.http.plain_response import PlainResponse
from entrypoints.http.problems import BODY_SHED, BODY_TOO_LARGE, BODY_TOO_SLOW, CLIENT_DISCONNECTED, HttpError

_SIGNED = frozenset(b"%s-%s" % each for each in product((b"svix", b"webhook"), (b"id", b"timestamp", b"signature")))
_DELIVERY = re.compile("msg_[A-Za-z0-9_-]{1,60}")

LATE_LIMIT_BYTES = 64 * 1024
LATE_TIMEOUT_S = 1.0


@frozen
class WebhookAnswer:
    """What came of the delivery; all of it is stored by the time this is sent."""

    outcome: Outcome


_ANSWERS = {outcome: msgspec.json.encode(WebhookAnswer(outcome)) for outcome in Outcome}
_JSON = (b"content-type", b"application/json")


@post(
    "/webhooks/clerk",
    status_code=200,
    summary="Receive a Clerk webhook",
    responses=problems(
        ForgedWebhookError,
        CLIENT_DISCONNECTED,
        BODY_TOO_SLOW,
        BODY_TOO_LARGE,
        BODY_SHED,
        UnusableWebhookError,
        UnstorableError,
        StoreBusyError,
        StoreUnavailableError,
    ),
)
async def handle_webhook(
    request: Request[Any, Any, Any], receive_webhook: Injected[ReceiveWebhook]
) -> Response[WebhookAnswer]:
    """Verify the Svix signature over the exact body, apply the news, and answer after COMMIT."""
    refuse_announced(request.scope)
    headers = signed_headers(request.scope["headers"])
    note_delivery(request.scope, headers)
    outcome = await receive_webhook(headers, lambda in_time: _body(request, in_time=in_time))
    note_outcome(request.scope, outcome)
    return PlainResponse(_ANSWERS[outcome], [_JSON])


async def _body(request: Request[Any, Any, Any], *, in_time: bool) -> bytes:
    """Read it; of a delivery that will be refused for its time, only as much as tells whether a clock is wrong."""
    if in_time:
        return await read_body(request.scope, request.receive)
    try:
        return await read_body(request.scope, request.receive, limit=LATE_LIMIT_BYTES, seconds=LATE_TIMEOUT_S)
    except HttpError as error:
        if error.problem is CLIENT_DISCONNECTED:
            raise
        raise ForgedWebhookError("svix-timestamp is not about now") from None


def note_delivery(scope: Scope, headers: Mapping[str, str]) -> None:
    """Leave the log the id of the delivery, by which Clerk's dashboard finds it, if it has the form of one."""
    delivery = headers.get("svix-id") or headers.get("webhook-id") or ""
    if _DELIVERY.fullmatch(delivery):
        note(scope, "svix_id", delivery)


def signed_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of the signature, by lower-case name; others that Svix may add are left alone.

    Raises ForgedWebhookError if one of them comes twice: proxies differ in which they keep, so neither can be trusted.
    """
    headers: dict[str, str] = {}
    for raw_name, value in raw:
        if raw_name.lower() in _SIGNED:
            name = raw_name.decode("latin-1").lower()
            if name in headers:
                raise ForgedWebhookError(f"{name} comes twice")
            headers[name] = value.decode("latin-1")
    return headers
