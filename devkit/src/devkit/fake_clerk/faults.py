"""Injected faults, which apply to the requests that they match."""

import random
import threading
from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import msgspec
from attrs import evolve, field, fields_dict, frozen, validators

from devkit.fake_clerk.answer import FakeResponse
from devkit.fake_clerk.refusals import (
    RefusedError,
    bad_body,
    forbidden,
    internal,
    no_such_route,
    too_many_requests,
    wrong_secret_key,
)

_HTML = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>\n"


class FaultKind(StrEnum):
    LATENCY = "latency"
    """The usual answer, `delay_s` later."""
    STATUS = "status"
    """An error of Clerk's instead of the answer: `status`, with `Retry-After` if `retry_after_s` is set."""
    HTML = "html"
    """An HTML page with `status` instead of the answer, as a proxy in between sends it."""
    SLOW_BODY = "slow_body"
    """The usual answer, whose body comes in drops over `delay_s`."""
    RESET = "reset"
    """The connection is reset after half of the body; with `keep=0` before any answer."""
    TRUNCATED = "truncated"
    """The connection closes after half of the body that Content-Length promised."""
    MALFORMED = "malformed"
    """200 and a body that is no JSON."""
    HUGE = "huge"
    """The usual answer after `size_bytes` of blanks, which JSON allows."""


_INSTEAD = (FaultKind.STATUS, FaultKind.HTML)
"""Kinds whose request is not carried out, unless the fault says so."""


@frozen(kw_only=True)
class Fault:
    """A fault, and the requests that it matches. The first fault that matches a request applies."""

    kind: FaultKind = field(converter=FaultKind)
    method: str | None = None
    """`None`: any."""
    path: str = "/"
    """What the path begins with, such as `/v1/users`."""
    exact: bool = False
    """The path is that and nothing more: `/v1/users` without `/v1/users/user_…`."""
    skip: int = field(default=0, validator=validators.ge(0))
    """So many matching requests go well first."""
    times: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    """So many matching requests meet it; `None`: all, until it is cleared."""
    share: float = field(default=1.0, validator=[validators.ge(0), validators.le(1)])
    """Of the matching requests, drawn by `seed`."""
    seed: int = 0
    delay_s: float = field(default=0.0, validator=validators.ge(0))
    status: int = field(default=500, validator=[validators.ge(200), validators.lt(600)])
    code: str | None = None
    """Of `status`, when it is not the usual one: `unsupported_subscription_plan_features` with 402."""
    retry_after_s: int | None = None
    keep: float = field(default=0.5, validator=[validators.ge(0), validators.lt(1)])
    """Share of the body that `reset` and `truncated` let through."""
    size_bytes: int = field(default=64 * 1024 * 1024, validator=validators.ge(0))
    carried_out: bool | None = None
    """Whether the request is done although the answer is lost; `None`: as usual for the kind."""

    @property
    def carries_out(self) -> bool:
        return self.kind not in _INSTEAD if self.carried_out is None else self.carried_out

    def matches(self, method: str, path: str) -> bool:
        if self.method not in (None, method):
            return False
        return path == self.path if self.exact else path.startswith(self.path)

    def spoil(self, answer: FakeResponse) -> FakeResponse:
        """Return the answer as the client gets it."""
        cut = {"cut_after": int(len(answer.body) * self.keep)}
        match self.kind:
            case FaultKind.LATENCY:
                change: dict[str, Any] = {}
            case FaultKind.STATUS:
                answer, change = _refusal(self), {}
            case FaultKind.HTML:
                change = {"status": self.status, "headers": {"content-type": "text/html; charset=utf-8"}, "body": _HTML}
            case FaultKind.SLOW_BODY:
                return evolve(answer, body_over_s=self.delay_s)
            case FaultKind.RESET:
                change = {**cut, "reset": True}
            case FaultKind.TRUNCATED:
                change = cut
            case FaultKind.MALFORMED:
                change = {"body": answer.body[: len(answer.body) // 2]}
            case FaultKind.HUGE:
                change = {"padding": self.size_bytes}
        return evolve(answer, delay_s=self.delay_s, **change)


_USUAL: dict[int, RefusedError] = {
    HTTPStatus.BAD_REQUEST: bad_body("The request body is invalid"),
    HTTPStatus.UNAUTHORIZED: wrong_secret_key(),
    HTTPStatus.FORBIDDEN: forbidden("authorization_invalid", "You are not authorized to perform this request"),
    HTTPStatus.NOT_FOUND: no_such_route(),
    HTTPStatus.TOO_MANY_REQUESTS: too_many_requests(0),
}


def _refusal(fault: Fault) -> FakeResponse:
    refused = _USUAL.get(fault.status) or internal(fault.status)
    # A 429 of Clerk's always says when to come back; one of a proxy in front of it may not.
    headers = {} if fault.retry_after_s is None else {"retry-after": str(fault.retry_after_s)}
    return refusal(evolve(refused, code=fault.code or refused.code, headers=headers))


def refusal(refused: RefusedError) -> FakeResponse:
    """Return a refusal as it goes over the wire."""
    return FakeResponse.of(refused.document(), status=refused.status, headers=refused.headers)


class _Set:
    """A fault that was set, and what it met so far."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.hits = 0
        self._chance = random.Random(fault.seed)  # noqa: S311  # the same seed, the same requests

    def meets(self, method: str, path: str) -> bool:
        fault = self.fault
        if not fault.matches(method, path) or (fault.times is not None and self.hits >= fault.times):
            return False
        self.seen += 1
        met = self.seen > fault.skip and self._chance.random() < fault.share
        self.hits += met
        return met


class Faults:
    """The faults that are set; they may be set and cleared from any thread, while requests come in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: list[_Set] = []

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._set += [_Set(fault) for fault in faults]

    def clear(self) -> None:
        with self._lock:
            self._set = []

    def hits(self) -> list[tuple[Fault, int]]:
        """Return each fault that is set, and how many requests have met it."""
        with self._lock:
            return [(entry.fault, entry.hits) for entry in self._set]

    def met_by(self, method: str, path: str) -> Fault | None:
        with self._lock:
            return next((entry.fault for entry in self._set if entry.meets(method, path)), None)


def fault_of(document: Mapping[str, object]) -> Fault:
    """Read a fault from JSON.

    Raises:
        ValueError: it is none; the message says why.
    """
    if unknown := sorted(set(document) - set(fields_dict(Fault))):
        raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(fields_dict(Fault))}")
    return msgspec.convert(document, Fault)


def shown(hits: Sequence[tuple[Fault, int]]) -> list[dict[str, object]]:
    return [{**msgspec.to_builtins(fault), "hits": count} for fault, count in hits]
