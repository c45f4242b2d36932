"""`/stand-in/…`: what only a stand-in has, for tests that drive it from another process."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from attrs import fields_dict

from devkit.fake_clerk.answer import FakeResponse
from devkit.fake_clerk.faults import fault_of, shown
from devkit.fake_clerk.refusals import bad_body
from devkit.fake_clerk.webhook_sender import Disorder

if TYPE_CHECKING:
    from devkit.fake_clerk.backend_api import Call

PREFIX = "/stand-in"

MOST_SEEDED = 1_000_000


_CHANGES = ("user.created", "user.updated")
_ENDS = ("session.ended", "session.removed", "session.revoked")

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def for_people(page: str, host: str) -> FakeResponse:
    """Return the page, under names of this machine alone."""
    # Another name for this address is another site's, whose script would read the key in the page (DNS rebinding).
    if urlsplit(f"//{host}").hostname not in _LOOPBACK:
        return FakeResponse(
            status=HTTPStatus.FORBIDDEN, body=b"Open this page as http://localhost:... or http://127.0.0.1:...\n"
        )
    headers = {"content-type": "text/html; charset=utf-8", "cache-control": "no-store", "x-frame-options": "DENY"}
    return FakeResponse(headers=headers, body=page.encode())


def _faults(call: "Call") -> Any:
    return shown(call.api.faults.hits())


def _add_faults(call: "Call") -> Any:
    """Take one fault, or `{"faults": [one, …]}`."""
    body = call.body
    documents = body["faults"] if isinstance(body.get("faults"), list) else [body]
    try:
        call.api.faults.add(*[fault_of(document) for document in documents])
    except (ValueError, TypeError) as error:
        raise bad_body(str(error)) from None
    return _faults(call)


def _clear_faults(call: "Call") -> Any:
    call.api.faults.clear()
    return []


def _seed(call: "Call") -> Any:
    """Make `count` users that nobody is told of; the fields are `ClerkInstance.seed`'s."""
    body = call.body
    if set(body) - {"count", "seed", "created_from", "step_ms"} or not isinstance(body.get("count"), int):
        raise bad_body("expected count, and perhaps seed, created_from, step_ms")
    if not all(isinstance(value, int) for value in body.values()) or not 0 <= body["count"] <= MOST_SEEDED:
        raise bad_body(f"expected whole numbers, and a count of at most {MOST_SEEDED}")
    ids = call.instance.seed(**body)
    return {"count": len(ids), "first": ids[:1], "last": ids[-1:]}


def _take_in(call: "Call") -> Any:
    """Take one event, `{"type": "user.created", "data": {…}}`, of which somebody else sends the webhook."""
    event, data = call.body.get("type"), call.body.get("data")
    if event not in (*_CHANGES, "user.deleted", *_ENDS) or not isinstance(data, dict):
        raise bad_body(f"expected type (one of {', '.join((*_CHANGES, 'user.deleted', *_ENDS))}) and data")
    numbers = (data.get("created_at"), data.get("updated_at")) if event in _CHANGES else ()
    if not isinstance(data.get("id"), str) or not all(type(number) is int for number in numbers):
        raise bad_body("expected an id in data, and created_at and updated_at as whole numbers")
    return {"taken_in": call.instance.take_in(event, data)}


def _end_session(call: "Call") -> Any:
    """Sign a user out of a session: `{"session_id": …}`; its status becomes `ended`, or `removed` if that is given."""
    session_id, status = call.body.get("session_id"), call.body.get("status", "ended")
    if not isinstance(session_id, str) or status not in ("ended", "removed"):
        raise bad_body("expected session_id, and perhaps status (ended or removed)")
    return call.instance.end_session(session_id, status)


def _webhooks(call: "Call") -> Any:
    sender = call.api.webhooks
    return {
        **msgspec.to_builtins(sender.disorder),
        "paused": sender.paused,
        "pending": sender.pending,
        "overflowed": sender.overflowed,
        "endpoints": [endpoint.url for endpoint in sender.endpoints],
        "attempts": msgspec.to_builtins(list(sender.attempts)[-100:]),
    }


def _set_webhooks(call: "Call") -> Any:
    """Set `paused`, and the shares of `Disorder`; what is left out stays."""
    body = call.body
    paused = body.pop("paused", call.api.webhooks.paused)
    if set(body) - set(fields_dict(Disorder)) or not isinstance(paused, bool):
        raise bad_body(f"expected paused, {', '.join(fields_dict(Disorder))}")
    try:
        disorder = msgspec.convert(msgspec.to_builtins(call.api.webhooks.disorder) | body, Disorder, strict=True)
    except (ValueError, TypeError) as error:
        raise bad_body(str(error)) from None
    if body:
        call.api.webhooks.disorder = disorder
    call.api.webhooks.paused = paused
    return _webhooks(call)


def _requests(call: "Call") -> Any:
    return msgspec.to_builtins(list(call.api.requests))


def _forget_requests(call: "Call") -> Any:
    call.api.requests.clear()
    return []


ROUTES: dict[tuple[str, str], Callable[["Call"], Any]] = {
    ("GET", "/faults"): _faults,
    ("POST", "/faults"): _add_faults,
    ("DELETE", "/faults"): _clear_faults,
    ("POST", "/seed"): _seed,
    ("POST", "/events"): _take_in,
    ("POST", "/sign-out"): _end_session,
    ("GET", "/webhooks"): _webhooks,
    ("PUT", "/webhooks"): _set_webhooks,
    ("GET", "/requests"): _requests,
    ("DELETE", "/requests"): _forget_requests,
}
