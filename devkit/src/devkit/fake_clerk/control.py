"""`/stand-in/…`: routes that Clerk does not have, for tests that control the stand-in from another process."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import fields_dict

from devkit.fake_clerk.deliveries import DeliveryAttempt, Disorder
from devkit.fake_clerk.faults import fault_of, shown
from devkit.fake_clerk.refusals import bad_body, not_found

if TYPE_CHECKING:
    from devkit.fake_clerk.backend_api import Call

PREFIX = "/stand-in"

MOST_SEEDED = 1_000_000
MOST_SENT_AGAIN = 1000

DROP_WEBHOOKS = "stand-in-webhooks"
"""Header of a request whose webhooks are dropped, when its value is `drop`."""

_SHOWN_OF_ATTEMPT = ("svix_id", "event", "user_id", "url", "number", "outcome")

_CHANGES = ("user.created", "user.updated")
_ENDS = ("session.ended", "session.removed", "session.revoked")


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
        "attempts": [
            {name: getattr(attempt, name) for name in _SHOWN_OF_ATTEMPT} for attempt in list(sender.attempts)[-100:]
        ],
    }


def _delivery(call: "Call") -> Any:
    """Return a message as it was sent; `body` is its text."""
    message = call.api.webhooks.message(call.ids[0])
    if message is None:
        raise not_found("delivery", call.ids[0])
    return {
        "svix_id": message.svix_id,
        "event": message.event,
        "user_id": message.user_id,
        "body": message.body.decode(),
    }


def _send_again(call: "Call") -> Any:
    """Send messages again: `{"svix_ids": ["msg_…"], "times": 2, "forged": true}`, one after the other."""
    body = {"times": 1, "forged": False, **call.body}
    svix_ids, times, forged = body.pop("svix_ids", None), body.pop("times"), body.pop("forged")
    listed = isinstance(svix_ids, list) and svix_ids and all(isinstance(one, str) for one in svix_ids)
    if body or not listed or type(times) is not int or type(forged) is not bool:
        raise bad_body("expected svix_ids, a list of texts, and perhaps times (a number) and forged (true or false)")
    if not 1 <= times * len(svix_ids) <= MOST_SENT_AGAIN:
        raise bad_body(f"expected 1 to {MOST_SENT_AGAIN} deliveries")
    try:
        call.api.webhooks.send_again(svix_ids, times=times, forged=forged)
    except KeyError as error:
        raise not_found("delivery", str(error.args[0])) from None
    return {"svix_ids": svix_ids, "times": times, "forged": forged}


def _report_attempt(call: "Call") -> Any:
    """Take note of an attempt that another program made, with the fields of `DeliveryAttempt`; texts are not base64."""
    texts = {name: value.encode() for name in ("body", "answer") if isinstance(value := call.body.get(name), str)}
    try:
        attempt = msgspec.convert({**call.body, **texts}, DeliveryAttempt, strict=True)
    except (ValueError, TypeError) as error:
        raise bad_body(str(error)) from None
    call.api.webhooks.record(attempt)
    return {}


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
    ("GET", "/deliveries/{id}"): _delivery,
    ("POST", "/deliveries"): _send_again,
    ("POST", "/attempts"): _report_attempt,
    ("GET", "/requests"): _requests,
    ("DELETE", "/requests"): _forget_requests,
}
