"""`python -m support.request_costs`: how many Python functions a request of each hot route calls, as JSON.

In a process of its own, with the log as in production and the database in memory: counted, not timed.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from entrypoints.config.settings import LogFormat, LogLevel, LogSettings
from entrypoints.observability.logging import configure_logging
from support.web import Web, bearer, created, signed, web

_WARM_UP, _COUNTED = 5, 5

_INLINED = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>"})
"""Since Python 3.12 these are no calls."""


def _scope(method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    """As granian makes it."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in {"host": "127.0.0.1", **headers}.items()],
    }


def _requests(route: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    headers = bearer()
    for at in itertools.count(1_700_000_000_000):
        if route.startswith("/webhooks"):
            body = created(at=at, first_name=f"Ada {at}")
            yield _scope("POST", route, {"content-length": str(len(body)), **signed(body)}), body
        else:
            yield _scope("GET", route, headers), b""


async def _send(app: Any, scope: dict[str, Any], body: bytes) -> int:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


async def _calls(work: Callable[[], Awaitable[int]]) -> int:
    calls = 0

    def note(frame: Any, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_name not in _INLINED

    sys.setprofile(note)
    try:
        status = await work()
    finally:
        sys.setprofile(None)
    assert status == 200
    return calls


async def _cost(served: Web, route: str) -> int:
    app: Any = served.client._transport.app  # type: ignore[attr-defined]  # httpx.ASGITransport
    requests = _requests(route)
    for _ in range(_WARM_UP):
        assert await _send(app, *next(requests)) == 200
    return min([await _calls(lambda: _send(app, *next(requests))) for _ in range(_COUNTED)])


async def main() -> None:
    configure_logging(LogSettings(log_level=LogLevel.INFO, log_format=LogFormat.JSON))
    async with web() as served:
        costs = {route: await _cost(served, route) for route in ("/webhooks/clerk", "/v1/me", "/v1/verify")}
    print(json.dumps(costs, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
