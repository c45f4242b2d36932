"""`/v1/verify?cacheable=true`: which verdicts a proxy may cache, for how long, and by which headers."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from entrypoints.http.routes.verify import cache_headers
from support.users import USER
from support.web import PARTY, bearer, created, token

CACHEABLE = "/v1/verify?cacheable=true"


def max_age(response) -> int:
    """Of an answer that a shared cache may store."""
    found = re.fullmatch("max-age=([1-9][0-9]*), must-revalidate", response.headers["cache-control"])
    assert found, response.headers["cache-control"]
    return int(found[1])


@pytest.mark.parametrize("path", [CACHEABLE, f"{CACHEABLE}&in_person=true", f"{CACHEABLE}&path=/orders?x=1"])
@pytest.mark.parametrize("lives_s", [3, 30, 60])
async def test_a_verdict_that_may_be_cached_may_be_until_its_token_expires(web, path, lives_s):
    expires = int(time.time()) + lives_s
    began = time.time()
    response = await web.client.get(path, headers=bearer(exp=expires))

    assert response.status_code == 200
    assert expires - time.time() - 1 < max_age(response) <= expires - began
    assert response.headers["x-auth-user-id"] == USER


async def test_a_verdict_on_a_token_that_lives_for_an_hour_may_be_cached_for_a_minute(web):
    response = await web.client.get(CACHEABLE, headers=bearer(exp=int(time.time()) + 3600))

    assert max_age(response) == 60


@given(st.floats(0, 253_402_300_799), st.floats(0, 253_402_300_799))
def test_a_cache_forgets_a_verdict_before_its_token_expires_and_within_a_minute(expires_at, now):
    named = dict(cache_headers(expires_at, now))
    kept = re.fullmatch(rb"max-age=([1-9][0-9]*), must-revalidate", named[b"cache-control"])

    assert kept or named == {b"cache-control": b"no-store"}
    assert bool(kept) == (expires_at - now >= 1)
    assert not kept or int(kept[1]) <= min(expires_at - now, 60)


@each_row(
    "path",
    [
        "/v1/verify",
        "/v1/verify?in_person=true",
        "/v1/verify?active=true",
        f"{CACHEABLE}&active=true",
        "/v1/verify?active=true&cacheable=true",
        f"{CACHEABLE}&path=/orders?x=1&active=true",
        "/v1/verify?path=/orders&cacheable=true",
        "/v1/ext-authz/orders?cacheable=true",
        "/v1/ext-authz?cacheable=true",
    ],
)
async def test_no_other_verdict_may_be_cached(web, path):
    await web.deliver(created())
    response = await web.client.get(path, headers=bearer())

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert "vary" not in response.headers


async def test_within_the_leeway_a_token_counts_and_its_verdict_may_not_be_cached(web):
    response = await web.client.get(CACHEABLE, headers=bearer(exp=int(time.time()) - 2))

    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")


@each_row(
    ("query", "headers", "status"),
    [
        ("", dict, 401),
        ("", lambda: bearer(exp=1), 401),
        ("", lambda: {"cookie": f"__session={token()}", "origin": "https://evil.example"}, 403),
        ("", lambda: {**bearer(), "connection": "x-auth-actor-id"}, 400),
        ("&in_person=true", lambda: bearer(act={"sub": "user_2admin"}), 403),
        ("&active=yes", bearer, 400),
    ],
)
async def test_a_refusal_may_not_be_cached(web, query, headers, status):
    response = await web.client.get(CACHEABLE + query, headers=headers())

    assert (response.status_code, response.headers["cache-control"]) == (status, "no-store")


@each_row(
    ("name", "value"),
    [
        ("authorization", "Bearer a.b.c"),
        ("cookie", "__session=a.b.c"),
        ("origin", "https://evil.example"),
        ("connection", "X-Auth-Actor-Id"),
        ("host", "evil.example"),
        ("accept", "text/html"),
        ("content-type", "text/plain"),
        ("forwarded", "for=192.0.2.1;host=evil.example;proto=http"),
        ("if-none-match", "*"),
        ("range", "bytes=0-0"),
        ("referer", "https://evil.example/"),
        ("sec-fetch-site", "cross-site"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("upgrade", "websocket"),
        ("user-agent", "curl"),
        ("x-auth-user-id", "user_root"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-method", "DELETE"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-uri", "/?active=true"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/v1/verify?active=true"),
        ("x-request-id", "req-1"),
    ],
)
async def test_every_header_that_changes_the_verdict_is_named_in_vary(web, name, value):
    """A cache whose key has fewer of them serves one user the identity of another."""
    by_cookie = {"cookie": f"__session={token()}", "origin": PARTY}
    good = await web.client.get(CACHEABLE, headers=by_cookie)
    other = await web.client.get(CACHEABLE, headers=by_cookie | {name: value})

    assert good.status_code == 200
    assert (other.status_code != 200) == (name in good.headers["vary"].lower().split(", "))
