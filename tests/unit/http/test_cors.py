import pytest
from structlog.testing import capture_logs

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


async def preflight(web, asked, path: str = "/v1/me", origin: str = PARTY):
    headers = [("origin", origin), ("access-control-request-method", "GET")]
    lines = [asked] if isinstance(asked, str) else asked
    headers += [("access-control-request-headers", line) for line in lines]
    return await web.client.options(path, headers=headers)


def granted(response) -> set[str]:
    return set(response.headers["access-control-allow-headers"].split(", "))


@pytest.mark.parametrize(
    "asked",
    [
        "authorization,baggage,sentry-trace",
        "Authorization, Baggage,\tSentry-Trace",
        "b3,x-b3-traceid,x-b3-spanid,x-b3-sampled",
        "x-datadog-trace-id,x-datadog-parent-id,x-datadog-origin,x-datadog-sampling-priority",
        "newrelic,tracestate,traceparent,x-request-id",
        "x-amzn-trace-id,x-cloud-trace-context,elastic-apm-traceparent,uber-trace-id,request-id",
        ["baggage", "sentry-trace"],
        ",baggage, ,",
    ],
)
async def test_whatever_headers_a_tracing_library_adds_are_granted_to_an_authorized_party(web, asked):
    response = await preflight(web, asked)
    wanted = asked if isinstance(asked, str) else ",".join(asked)

    assert {name.strip().lower() for name in wanted.split(",")} - {""} <= granted(response)
    assert "authorization" in granted(response)
    assert int(response.headers["access-control-max-age"]) > 0


@pytest.mark.parametrize("asked", ["a b", "x:y", 'x"', "*/*", "x\xff", "x;y", "a" * 3000])
async def test_what_is_no_name_of_a_header_is_not_repeated(web, asked):
    response = await preflight(web, [asked.encode("latin-1")])

    assert granted(response) == {"authorization", "if-none-match", "traceparent", "x-request-id"}


async def test_nobody_else_learns_which_headers_are_granted(web):
    response = await preflight(web, "authorization,baggage", origin="https://evil.example")

    assert [name for name in response.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize(
    ("path", "route"),
    [("/v1/me", "/v1/me"), ("/v1/users/user_1/ban", "/v1/users/{user_id}/ban"), ("/nowhere", "unmatched")],
)
async def test_a_preflight_is_logged_by_its_route(web, path, route):
    with capture_logs() as logs:
        response = await preflight(web, "authorization", path)

    assert response.status_code == 204
    assert [(line["route"], line["outcome"]) for line in logs] == [(route, "preflight")]


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
