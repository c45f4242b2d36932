"""A head is judged by its size before anything in it is read."""

import pytest
from sdktest.rows import each_row

from entrypoints.http.limits import HEAD_LIMIT_BYTES
from entrypoints.http.middleware.head_bounds import COOKIES_AT_MOST, QUERY_LIMIT_BYTES
from support.users import USER
from support.web import created, signed, token

LONG = "x" * HEAD_LIMIT_BYTES


@each_row(
    "headers",
    [
        [("cookie", ";" * 60_000)],
        [("cookie", ";" * (COOKIES_AT_MOST + 1))],
        [("cookie", "a=b")] * (COOKIES_AT_MOST + 1),
        [("cookie", LONG)],
        [("cookie", "a=" + LONG[:9000]), ("cookie", "b=" + LONG[:9000])],
        [("authorization", "Bearer " + LONG)],
        [("authorization", " " * HEAD_LIMIT_BYTES)],
        [("x-request-id", LONG)],
        [("traceparent", LONG)],
        [("if-none-match", '"a",' * 4096)],
        [(LONG, "x")],
        [(f"x-{number}", "x" * 200) for number in range(80)],
    ],
)
@each_row("path", ["/v1/me", "/v1/verify", "/v1/ext-authz/a", "/v1/users/user_1", "/health/live"])
async def test_too_much_in_the_headers_is_431(web, path, headers):
    response = await web.client.get(path, headers=headers)

    assert (response.status_code, response.json()["code"]) == (431, "head-too-large")
    assert response.headers["content-type"] == "application/problem+json"


@each_row("query", ["a" * (QUERY_LIMIT_BYTES + 1), "a&" * 300, "&" * 300, "%41&" * 300])
@each_row("path", ["/v1/me", "/v1/verify", "/v1/ext-authz/a", "/v1/users", "/health"])
async def test_too_much_in_the_query_is_414(web, path, query):
    response = await web.client.get(f"{path}?{query}", headers={"authorization": f"Bearer {token()}"})

    assert (response.status_code, response.json()["code"]) == (414, "query-too-long")


async def test_a_long_path_is_part_of_the_head(web):
    response = await web.client.get(f"/v1/ext-authz/{LONG}", headers={"authorization": f"Bearer {token()}"})

    assert response.status_code == 431


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"cookie": ";" * 60_000}},
        {"headers": {"svix-signature": "v1," * 20_000}},
        {"params": {"a": LONG}},
    ],
)
async def test_a_webhook_with_any_of_that_is_400_and_its_body_is_not_looked_at(web, how):
    body = created()
    headers = {**signed(body), **how.get("headers", {})}
    response = await web.client.post("/webhooks/clerk", content=body, headers=headers, params=how.get("params"))

    assert (response.status_code, response.json()["code"]) == (400, "webhook-not-genuine")
    assert USER not in web.users.rows


async def test_what_browsers_send_at_most_is_served(web):
    await web.deliver(created())
    others = "; ".join(f"cookie{number}={'v' * 60}" for number in range(150))
    response = await web.me(cookie=f"{others}; __session={token()}")

    assert response.status_code == 200
