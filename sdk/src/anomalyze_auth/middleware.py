"""Pure ASGI middleware that lets only authorized requests reach the application."""

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cache
from typing import Any

from anomalyze_auth.access import OPTIONAL, PUBLIC, REQUIRED, Requirement, Rule
from anomalyze_auth.errors import KeysUnavailable, OriginRefused, RevocationsUnavailable, TokenRejected
from anomalyze_auth.identity import Authenticated
from anomalyze_auth.paths import Rules
from anomalyze_auth.problems import TOKEN_MISSING, Problem, Refused, problem_of
from anomalyze_auth.request_verifier import RequestVerifier
from anomalyze_auth.verifier import SessionVerifier

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_IDENTITY = "anomalyze_auth.identity"
# 1013: try again later (IANA registry of close codes); 44xx: the HTTP status, by convention.
CLOSE_CODES = {400: 4400, 401: 4401, 403: 4403, 503: 1013}


class AuthMiddleware:
    """Verifies the session token of each HTTP request and WebSocket handshake.

    The identity is in the scope: `identity_of(scope)`, and `request.user` in Starlette, FastAPI and
    Litestar. A refused caller gets `application/problem+json` with 401, 403 or 503; a WebSocket
    is refused before it is accepted. A path that programs read in different ways is answered 400, whatever
    its rule. CORS preflights get no exception, because any client can send a request that looks like one. Put the
    CORS middleware outside of this one: it answers preflights, and adds its headers to refusals too.

    Args:
        app: the application.
        verifier: decides about tokens.
        rules: exceptions to `default` by path, for example
            `{"/health": PUBLIC, "/billing/*": Requirement(permission="org:billing:manage")}`; see `Rules`.
        default: for all other paths.
        cookie_suffix: see `RequestVerifier`.
        cookies: whether the session cookie is read. Needs a verifier with authorized parties, which
            protect the cookie against pages of other origins on the same domain.

    With OPTIONAL, an invalid token in a cookie is ignored, because browsers send it by themselves and it may be
    out of date; an invalid one in the header is answered 401.

    Raises:
        ValueError: cookies without authorized parties, or rules that `Rules` refuses.
    """

    def __init__(  # noqa: PLR0913  (each is a separate decision)
        self,
        app: ASGIApp,
        verifier: SessionVerifier,
        *,
        rules: Mapping[str, Rule] | None = None,
        default: Rule = REQUIRED,
        cookie_suffix: str | None = None,
        cookies: bool = True,
    ) -> None:
        self._app = app
        self._requests = RequestVerifier(verifier, cookie_suffix=cookie_suffix, cookies=cookies)
        self._rules = Rules(rules or {}, default)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope[_IDENTITY] = scope["user"] = None
        exchange = _Exchange(scope, receive, send)
        try:
            rule = self._rules.of(scope)
            if rule is not PUBLIC:
                scope[_IDENTITY] = scope["user"] = await self._let_in(scope, rule)
            await self._app(scope, exchange.receive, exchange.send)
        except Refused as refused:
            if exchange.answered:
                raise
            if _is_preflight(scope):
                _warn_of_a_preflight()
            await exchange.refuse(refused.problem)

    async def _let_in(self, scope: Scope, rule: Rule) -> Authenticated | None:
        try:
            # Browsers send cookies by themselves, and those may be out of date; a Bearer token is sent on purpose.
            caller = await self._requests.verify(scope["headers"], ignore_bad_cookies=rule is OPTIONAL)
        except (TokenRejected, OriginRefused, KeysUnavailable, RevocationsUnavailable) as refusal:
            raise Refused(problem_of(refusal)) from None
        if caller is None:
            if rule is OPTIONAL:
                return None
            raise Refused(TOKEN_MISSING)
        if isinstance(rule, Requirement):
            _require(rule, caller)
        return caller


def identity_of(scope: Mapping[str, Any]) -> Authenticated | None:
    """The caller of a request that passed `AuthMiddleware`; None for an anonymous caller (PUBLIC, OPTIONAL).

    Raises:
        RuntimeError: it did not pass the middleware; otherwise a missing middleware would mean no check.
    """
    if _IDENTITY not in scope:
        raise RuntimeError("AuthMiddleware is not installed around this application.")
    identity: Authenticated | None = scope[_IDENTITY]
    return identity


def require(scope: Mapping[str, Any], requirement: Requirement | None = None) -> Authenticated:
    """The caller, who is signed in and meets the requirement.

    Raises:
        Refused: the caller is anonymous or does not meet it. Do not catch it: `AuthMiddleware` answers it.
        RuntimeError: as `identity_of`.
    """
    caller = identity_of(scope)
    if caller is None:
        raise Refused(TOKEN_MISSING)
    if requirement is not None:
        _require(requirement, caller)
    return caller


def _require(requirement: Requirement, caller: Authenticated) -> None:
    problem = requirement.refusal(caller)
    if problem is not None:
        raise Refused(problem)


def _is_preflight(scope: Scope) -> bool:
    names = {name.lower() for name, _ in scope["headers"]}
    asks = names >= {b"origin", b"access-control-request-method"}
    return asks and scope["type"] == "http" and scope["method"] == "OPTIONS"


@cache  # logs it once
def _warn_of_a_preflight() -> None:
    _LOG.warning("a CORS preflight was refused: the CORS middleware has to be outside of AuthMiddleware")


class _Exchange:
    """One request or handshake: tracks whether the application has answered, and can refuse it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._received = False
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._received = True
        return message

    async def send(self, message: Message) -> None:
        self.answered = True
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        kind = "http.response"
        if self._scope["type"] == "websocket":
            if not self._received:
                await self._receive()  # the handshake; nothing may be sent before it
            kind = "websocket.http.response"
            if kind not in (self._scope.get("extensions") or {}):
                code = CLOSE_CODES[problem.status]
                await self._send({"type": "websocket.close", "code": code, "reason": problem.code})
                return
        body = problem.body()
        headers = {**problem.headers(), "content-length": str(len(body))}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": f"{kind}.start", "status": problem.status, "headers": raw})
        await self._send({"type": f"{kind}.body", "body": body})
