"""What is called without Litestar answers as it does with it."""

from typing import Any

import pytest
from litestar import Request, get
from sdktest.rows import each_row

from entrypoints.http.authentication import Authentication
from entrypoints.http.dependencies import provided
from entrypoints.http.middleware.direct_routes import routes_of
from entrypoints.http.routes.handlers import DIRECT
from support.web import PARTY, bearer, created, event, signed

BY_LITESTAR = "/"
"""A trailing slash: the same route, and not to the letter."""


def told(response) -> tuple[int, list[tuple[str, str]], bytes]:
    headers = [(name, value) for name, value in response.headers.multi_items() if name != "x-request-id"]
    return response.status_code, sorted(headers), response.content


@each_row("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT"])
@each_row(
    "headers",
    [
        dict,
        bearer,
        lambda: bearer(exp=1),
        lambda: bearer("user_unknown"),
        lambda: {"authorization": "Bearer x"},
        lambda: {**bearer(), "if-none-match": "*"},
        lambda: {**bearer(), "origin": PARTY},
        lambda: {**bearer(), "host": 'a b"'},
        lambda: {**bearer(), "host": "service.example:8080"},
        lambda: {**bearer(), "cookie": ";" * 300},
        lambda: {**bearer(act={"sub": "user_admin"}), "connection": "x-auth-actor-id"},
    ],
)
@each_row("path", ["/v1/me", "/v1/verify"])
async def test_a_question_gets_the_same_answer_either_way(web, method, path, headers):
    await web.deliver(created())
    sent = headers()
    direct = await web.client.request(method, path, headers=sent)
    by_litestar = await web.client.request(method, path + BY_LITESTAR, headers=sent)

    assert told(direct) == told(by_litestar)


@each_row(
    ("body", "headers"),
    [
        (created(), None),
        (created(), {}),
        (created(), {"svix-id": "msg_1"}),
        (b"\xff", signed(b"{}")),
        (event("user.created", {"id": "user_1"}), None),
        (event("unknown", {}), None),
        (b"x" * 1_100_000, None),
    ],
)
async def test_a_delivery_gets_the_same_answer_either_way(web, body, headers):
    await web.deliver(created())
    sent = signed(body) if headers is None else headers
    direct = await web.client.post("/webhooks/clerk", content=body, headers=sent)
    by_litestar = await web.client.post("/webhooks/clerk" + BY_LITESTAR, content=body, headers=sent)

    assert told(direct) == told(by_litestar)


async def test_a_bug_in_a_handler_is_500_either_way(web, monkeypatch):
    async def bug(_headers):
        raise RuntimeError("secret")

    monkeypatch.setattr(Authentication, "identity_in", lambda _self, headers: bug(headers))
    direct = await web.client.get("/v1/me", headers=bearer())
    by_litestar = await web.client.get("/v1/me" + BY_LITESTAR, headers=bearer())

    assert direct.status_code == 500
    assert b"secret" not in direct.content
    assert told(direct) == told(by_litestar)


def test_these_are_the_routes_to_the_letter():
    dependencies = {name: provided(object) for name in ("receive_webhook", "authentication")}

    assert {*routes_of(DIRECT, dependencies)} == {
        ("POST", "/webhooks/clerk"),
        ("GET", "/v1/me"),
        ("GET", "/v1/verify"),
    }


def test_a_handler_with_a_parameter_that_only_litestar_fills_is_refused():
    @get("/")
    async def handler(request: Request[Any, Any, Any], authentication: Any, page: int) -> None: ...

    with pytest.raises(ValueError, match="too many values"):
        routes_of([handler], {"authentication": provided(object)})
