"""Bounds on the head of a request, checked by counting bytes before anything reads what is in it."""

from itertools import chain
from typing import Protocol

from attrs import frozen
from litestar.types import HTTPScope

from application.errors import ForgedWebhookError
from entrypoints.http.limits import HEAD_LIMIT_BYTES
from entrypoints.http.problems import HEAD_TOO_LARGE, QUERY_TOO_LONG, HttpError
from entrypoints.http.rejection_throttle import RejectionThrottle
from entrypoints.observability.metrics import WEBHOOK_ROUTE

QUERY_LIMIT_BYTES = 8 * 1024

PARAMETERS_AT_MOST = 256  # in a query: twice what `/v1/users?ids=…&ids=…` may name
COOKIES_AT_MOST = 256  # in all Cookie headers; browsers keep up to 180 for a site

_OF_A_LINE = len(": \r\n")


class WithScope(Protocol):
    """Litestar's `Request`, or what stands for it."""

    @property
    def scope(self) -> HTTPScope: ...


@frozen
class HeadBounds:
    """Litestar's `before_request`: the route is known by then, and nothing was parsed."""

    refusals: RejectionThrottle  # the pace of refused tokens, which refused heads share

    async def __call__(self, request: WithScope) -> None:
        scope = request.scope
        error = excess(scope)
        if error is None:
            return
        await self.refusals.turn()
        if scope.get("path_template") == WEBHOOK_ROUTE:
            # Whatever an attacker sends there is 400; Clerk's own heads have a tenth of this.
            raise ForgedWebhookError(str(error))
        raise error


def excess(scope: HTTPScope) -> HttpError | None:
    """Return the first bound that the head exceeds."""
    query = scope["query_string"]
    if len(query) > QUERY_LIMIT_BYTES:
        return HttpError(QUERY_TOO_LONG, f"the query is longer than {QUERY_LIMIT_BYTES} bytes")
    if query.count(b"&") >= PARAMETERS_AT_MOST:
        return HttpError(QUERY_TOO_LONG, f"the query has more than {PARAMETERS_AT_MOST} parameters")
    headers = [*scope["headers"]]
    size = len(query) + len(scope["raw_path"]) + sum(map(len, chain.from_iterable(headers))) + _OF_A_LINE * len(headers)
    if size > HEAD_LIMIT_BYTES:
        return HttpError(HEAD_TOO_LARGE, f"the head is longer than {HEAD_LIMIT_BYTES} bytes")
    if sum([value.count(b";") + 1 for name, value in headers if name == b"cookie"]) > COOKIES_AT_MOST:
        return HttpError(HEAD_TOO_LARGE, f"there are more than {COOKIES_AT_MOST} cookies")
    return None
