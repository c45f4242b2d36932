"""Refuse a path that programs read in different ways, before anything here goes by its text."""

from collections.abc import Awaitable

from attrs import frozen
from litestar.enums import ScopeType
from litestar.exceptions import ClientException
from litestar.types import ASGIApp, Receive, Scope, Send

from anomalyze_auth.paths import is_ambiguous
from entrypoints.http import problems
from entrypoints.http.middleware.request_middleware import note_outcome
from entrypoints.http.routes.verify import keeps_original_path


@frozen
class OneReading:
    """Litestar merges slashes, and what stands before it here or in front of the service goes by the text as it is.

    So `//v1/verify` would be forward auth to one and a page with CORS to the other. No route and no id needs any of
    what is refused; the path that Envoy appends to ours is another service's, and not judged.
    """

    app: ASGIApp

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP and not keeps_original_path(scope["path"]) and _has_two_readings(scope):
            note_outcome(scope, problems.BAD_REQUEST.code)
            return problems.response_to(ClientException()).send(send)
        return self.app(scope, receive, send)


def _has_two_readings(scope: Scope) -> bool:
    return is_ambiguous(scope["path"]) or b"%2f" in scope["raw_path"].lower()
