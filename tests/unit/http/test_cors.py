import pytest

from support.web import PARTY, bearer, created
from support.web import web as running

PREFLIGHT = {"access-control-request-method": "GET", "access-control-request-headers": "authorization,if-none-match"}


async def test_an_authorized_party_may_read_the_answer_with_credentials_and_its_etag(web):
    await web.deliver(created())
    response = await web.me(origin=PARTY, **bearer())

    assert response.headers["access-control-allow-origin"] == PARTY
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "etag" in response.headers["access-control-expose-headers"]
    assert "Origin" in response.headers["vary"]
    assert "Authorization" in response.headers["vary"]


async def test_errors_are_readable_too(web):
    response = await web.me(origin=PARTY)

    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == PARTY


async def test_a_preflight_of_an_authorized_party_is_granted(web):
    response = await web.client.options("/v1/me", headers={"origin": PARTY, **PREFLIGHT})

    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == PARTY
    assert "GET" in response.headers["access-control-allow-methods"]
    assert {"authorization", "if-none-match"} <= set(response.headers["access-control-allow-headers"].split(", "))


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", PARTY + ".evil.example", PARTY.upper(), "http://app.example.com", "*"]
)
async def test_nobody_else_is_granted_anything(web, origin):
    plain = await web.me(origin=origin, **bearer())
    preflight = await web.client.options("/v1/me", headers={"origin": origin, **PREFLIGHT})

    for response in (plain, preflight):
        assert "access-control-allow-origin" not in response.headers
        assert "access-control-allow-credentials" not in response.headers
        assert "Origin" in response.headers["vary"]


async def test_caches_are_told_also_without_an_origin(web):
    response = await web.me(**bearer())

    assert "Origin" in response.headers["vary"]


async def test_without_authorized_parties_there_is_no_cors():
    async with running(CLERK_AUTHORIZED_PARTIES="") as service:
        response = await service.me(origin=PARTY, **bearer())

    assert "access-control-allow-origin" not in response.headers
