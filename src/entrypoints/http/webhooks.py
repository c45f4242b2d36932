"""`POST /webhooks/clerk`: where Clerk tells us what happened to a user."""

from collections.abc import Iterable
from typing import Any

from attrs import frozen
from litestar import Request, post

from application.errors import (
    ForgedWebhookError,
    StoreBusyError,
    StoreUnavailableError,
    UnstorableError,
    UnusableWebhookError,
)
from application.receive_webhook import ReceiveWebhook
from domain.decision import Outcome
from entrypoints.http.body import read_body
from entrypoints.http.dependencies import Injected
from entrypoints.http.edge import note_outcome
from entrypoints.http.errors import BodyTooLargeError, BodyTooSlowError, ClientDisconnectedError
from entrypoints.http.openapi import problems

_SIGNED = ("svix-", "webhook-")


@frozen
class WebhookAnswer:
    """What came of the delivery; all of it is stored by the time this is sent."""

    outcome: Outcome


@post(
    "/webhooks/clerk",
    status_code=200,
    summary="Receive a Clerk webhook",
    responses=problems(
        ForgedWebhookError,
        ClientDisconnectedError,
        BodyTooSlowError,
        BodyTooLargeError,
        UnusableWebhookError,
        UnstorableError,
        StoreBusyError,
        StoreUnavailableError,
    ),
)
async def handle_webhook(request: Request[Any, Any, Any], receive_webhook: Injected[ReceiveWebhook]) -> WebhookAnswer:
    """Verify the Svix signature over the exact body, apply the news, and answer after COMMIT."""
    body = await read_body(request.scope, request.receive)
    headers = signed_headers(request.scope["headers"])
    outcome = await receive_webhook(headers, body)
    note_outcome(request.scope, outcome)
    return WebhookAnswer(outcome)


def signed_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by lower-case name.

    Raises:
        ForgedWebhookError: one that belongs to the signature comes twice; proxies differ in which of the two they
            keep, so neither can be trusted.
    """
    headers: dict[str, str] = {}
    for raw_name, value in raw:
        name = raw_name.decode("latin-1").lower()
        if name in headers and name.startswith(_SIGNED):
            raise ForgedWebhookError(f"{name} comes twice")
        headers[name] = value.decode("latin-1")
    return headers
