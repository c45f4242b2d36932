"""Clerk's Backend API over an instance: routes, secret key, rate limits, faults."""

import hmac
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from attrs import field, frozen

from devkit.fake_clerk import control, forms
from devkit.fake_clerk.answer import FakeResponse
from devkit.fake_clerk.faults import Faults, refusal
from devkit.fake_clerk.instance import ClerkInstance
from devkit.fake_clerk.listing import LARGEST_PAGE, PAGE, query_of, whole_number
from devkit.fake_clerk.rate_limits import RateLimiter
from devkit.fake_clerk.refusals import (
    RefusedError,
    bad_body,
    bad_parameter,
    missing_parameter,
    no_secret_key,
    no_such_route,
    not_found,
    too_many_requests,
    wrong_secret_key,
)
from devkit.fake_clerk.tokens import SessionTokens
from devkit.fake_clerk.webhook_sender import WebhookSender

REMEMBERED = 10_000
"""Requests that are kept, to be shown."""

SESSION_STATES = ("active", "revoked", "ended", "expired", "removed", "abandoned", "replaced", "pending")


@frozen(kw_only=True)
class Asked:
    """A request that was answered; `target` is the path with the query."""

    method: str
    target: str
    status: int


@frozen(kw_only=True)
class Call:
    """A request on its way to a route."""

    api: "FakeBackendApi"
    ids: tuple[str, ...]
    parameters: Mapping[str, Sequence[str]]
    raw: bytes = field(repr=False)

    @property
    def instance(self) -> ClerkInstance:
        return self.api.instance

    @property
    def body(self) -> dict[str, Any]:
        """The body as a JSON object; none is an empty one."""
        try:
            found = msgspec.json.decode(self.raw or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise bad_body(f"The request body is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise bad_body("The request body must be a JSON object")
        return found

    def one(self, name: str) -> str | None:
        return self.parameters.get(name, (None,))[0]


class FakeBackendApi:
    """Answers requests as api.clerk.com does, and the stand-in's own `/stand-in/…`.

    Args:
        instance: whose API it is.
        secret_key: `sk_test_…`; whoever has it may ask.
        tokens: mints session tokens, and knows the public key.
        limits: counts the requests.
        faults: what goes wrong.
        webhooks: for `/stand-in/webhooks`.
    """

    def __init__(  # noqa: PLR0913  # all go by name
        self,
        *,
        instance: ClerkInstance,
        secret_key: str,
        tokens: SessionTokens,
        limits: RateLimiter,
        faults: Faults,
        webhooks: WebhookSender,
    ) -> None:
        self.instance = instance
        self.tokens = tokens
        self.limits = limits
        self.faults = faults
        self.webhooks = webhooks
        self.requests: deque[Asked] = deque(maxlen=REMEMBERED)
        self._secret_key = secret_key.encode()

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> FakeResponse:
        """Answer a request.

        Args:
            method: in capitals.
            target: path and query, as it came.
            headers: names in lower case.
            body: may be empty.
        """
        path = urlsplit(target).path
        fault = None if path.startswith(control.PREFIX) else self.faults.met_by(method, path)
        if fault is None:
            answer = self._answer(method, target, headers, body)
        elif fault.carries_out:
            answer = fault.spoil(self._answer(method, target, headers, body))
        else:
            answer = fault.spoil(FakeResponse())
        if not path.startswith(control.PREFIX):
            self.requests.append(Asked(method=method, target=target, status=answer.status))
        return answer

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> FakeResponse:
        dropped = headers.get(control.DROP_WEBHOOKS) == "drop"
        try:
            with self.webhooks.dropping() if dropped else nullcontext():
                return FakeResponse.of(self._carry_out(method, target, headers, body))
        except RefusedError as refused:
            return refusal(refused)

    def _carry_out(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Any:
        parts = urlsplit(target)
        if (method, parts.path) == ("GET", "/.well-known/jwks.json"):  # the Frontend API's: public
            return self.tokens.jwks()
        self._check_key(headers.get("authorization"))
        route, ids = _route(method, parts.path)
        if route.limited:
            retry_after_s = self.limits.refuses(ids[0] if route.changes_user else None)
            if retry_after_s is not None:
                raise too_many_requests(retry_after_s)
        parameters = parse_qs(parts.query, keep_blank_values=True)
        return route.handler(Call(api=self, ids=ids, parameters=parameters, raw=body))

    def _check_key(self, authorization: str | None) -> None:
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise no_secret_key()
        if not hmac.compare_digest(key.strip().encode(), self._secret_key):
            raise wrong_secret_key()


def _users(call: Call) -> Any:
    return call.instance.page(query_of(call.parameters))


def _count(call: Call) -> Any:
    return {"object": "total_count", "total_count": call.instance.count(query_of(call.parameters))}


def _set_banned_many(call: Call, *, banned: bool) -> Any:
    ids = forms.checked(forms.USER_IDS, call.body).get("user_ids")
    if not ids:
        raise missing_parameter("user_ids")
    return [call.instance.set_banned(user_id, banned=banned) for user_id in ids]


def _add_email(call: Call) -> Any:
    form = forms.checked(forms.EMAIL_ADDRESS, call.body)
    for name in ("user_id", "email_address"):
        if not form.get(name):
            raise missing_parameter(name)
    return call.instance.add_email(
        form["user_id"],
        form["email_address"],
        verified=bool(form.get("verified")),
        primary=bool(form.get("primary")),
    )


def _sessions(call: Call) -> Any:
    user_id, client_id, status = (call.one(name) for name in ("user_id", "client_id", "status"))
    if not (user_id or client_id):
        raise missing_parameter("user_id")
    if status not in (None, *SESSION_STATES):
        raise bad_parameter("form_param_value_invalid", "status", "status is not one of the allowed values")
    found = call.instance.sessions(user_id=user_id, client_id=client_id, status=status)
    limit = min(whole_number(call.parameters, "limit", PAGE, at_least=1), LARGEST_PAGE)
    offset = whole_number(call.parameters, "offset", 0)
    page = found[offset : offset + limit]
    return {"data": page, "total_count": len(found)} if call.one("paginated") == "true" else page


def _sign_in(call: Call) -> Any:
    form = forms.checked(forms.SESSION, call.body)
    if not form.get("user_id"):
        raise missing_parameter("user_id")
    return call.instance.sign_in(form["user_id"], active_organization_id=form.get("active_organization_id"))


def _session_token(call: Call) -> Any:
    form = forms.checked(forms.SESSION_TOKEN, call.body)
    session = call.instance.session(call.ids[0])
    if session["status"] != "active":
        raise not_found("active session", call.ids[0])
    lifetime_s = form.get("expires_in_seconds") or call.api.tokens.lifetime_s
    return {
        "object": "token",
        "jwt": call.api.tokens.mint(session, now_s=call.instance.now_ms() // 1000, lifetime_s=lifetime_s),
    }


@frozen
class _Route:
    method: str
    path: re.Pattern[str]
    handler: Callable[[Call], Any]
    limited: bool = True
    changes_user: bool = False


def _of(method: str, path: str, handler: Callable[[Call], Any], **options: bool) -> _Route:
    return _Route(method, re.compile(path.replace("{id}", "([^/]+)")), handler, **options)


_ROUTES = (
    _of("GET", "/v1/users", _users),
    _of("POST", "/v1/users", lambda call: call.instance.create(**call.body)),
    _of("GET", "/v1/users/count", _count),
    _of("POST", "/v1/users/ban", lambda call: _set_banned_many(call, banned=True)),
    _of("POST", "/v1/users/unban", lambda call: _set_banned_many(call, banned=False)),
    _of("GET", "/v1/users/{id}", lambda call: call.instance.get(*call.ids)),
    _of("PATCH", "/v1/users/{id}", lambda call: call.instance.update(*call.ids, **call.body), changes_user=True),
    _of("DELETE", "/v1/users/{id}", lambda call: call.instance.delete(*call.ids)),
    _of(
        "PATCH",
        "/v1/users/{id}/metadata",
        lambda call: call.instance.merge_metadata(*call.ids, **call.body),
        changes_user=True,
    ),
    _of(
        "PUT",
        "/v1/users/{id}/metadata",
        lambda call: call.instance.replace_metadata(*call.ids, **call.body),
        changes_user=True,
    ),
    _of("POST", "/v1/users/{id}/ban", lambda call: call.instance.set_banned(*call.ids, banned=True)),
    _of("POST", "/v1/users/{id}/unban", lambda call: call.instance.set_banned(*call.ids, banned=False)),
    _of("POST", "/v1/users/{id}/lock", lambda call: call.instance.set_locked(*call.ids, locked=True)),
    _of("POST", "/v1/users/{id}/unlock", lambda call: call.instance.set_locked(*call.ids, locked=False)),
    _of("POST", "/v1/email_addresses", _add_email),
    _of("DELETE", "/v1/email_addresses/{id}", lambda call: call.instance.remove_email(*call.ids)),
    _of("GET", "/v1/sessions", _sessions),
    _of("POST", "/v1/sessions", _sign_in),
    _of("GET", "/v1/sessions/{id}", lambda call: call.instance.session(*call.ids)),
    _of("POST", "/v1/sessions/{id}/revoke", lambda call: call.instance.revoke_session(*call.ids)),
    _of("POST", "/v1/sessions/{id}/tokens", _session_token),
    _of("GET", "/v1/jwks", lambda call: call.api.tokens.jwks(), limited=False),
    *(_of(method, control.PREFIX + path, handler, limited=False) for (method, path), handler in control.ROUTES.items()),
)


def _route(method: str, path: str) -> tuple[_Route, tuple[str, ...]]:
    for route in _ROUTES:
        if route.method == method and (found := route.path.fullmatch(path)):
            return route, tuple(unquote(text) for text in found.groups())
    raise no_such_route()
