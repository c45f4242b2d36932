"""Forward auth behind real proxies, with the configurations of deploy/proxies."""

import re

import httpx
import pytest

from entrypoints.embedded.ports import free_port
from support.http_server import Answer, http_server
from support.proxies import proxy
from support.web import bearer, token

GOOD, BANNED, GONE, UNKNOWN = "user_good", "user_banned", "user_gone", "user_unknown"
HEADERS = ["x-auth-user-id", "x-auth-session-id", "x-auth-org-id", "x-auth-org-role", "x-auth-actor-id"]
OF_GOOD = {"x-auth-user-id": GOOD, "x-auth-session-id": "sess_1"}

DOWN = {"nginx": 503, "caddy": 502, "traefik": 500, "envoy": 503}
"""What each proxy tells a client when it cannot reach the service."""


def identity(request):
    """What an application takes for the identity: as CGI, WSGI, Rack and PHP read names, and without empty values."""
    seen = [(re.sub("[_.]", "-", name).lower(), value) for name, value in request.headers]
    found = [(name, value) for name, value in seen if name in HEADERS and value]
    assert len(found) == len(dict(found)), "an identity header comes twice"
    return dict(found)


def test_a_good_token_reaches_the_application_with_its_identity(url, application):
    response = httpx.get(f"{url}/orders/1?x=1&active=false", headers=bearer(GOOD))

    assert response.status_code == 200
    [request] = application.requests
    assert (request.method, request.path) == ("GET", "/orders/1?x=1&active=false")
    assert identity(request) == OF_GOOD


def test_organization_and_actor_are_passed_on(url, application):
    claims = {"v": 2, "o": {"id": "org_1", "slg": "acme", "rol": "admin"}, "act": {"sub": "user_support"}}
    httpx.get(url, headers=bearer(GOOD, **claims))

    assert identity(application.requests[0]) == {
        **OF_GOOD,
        "x-auth-org-id": "org_1",
        "x-auth-org-role": "org:admin",
        "x-auth-actor-id": "user_support",
    }


def test_the_cookie_is_as_good_as_the_header(url, application):
    response = httpx.get(url, headers={"cookie": f"theme=dark; __session={token(GOOD)}"})

    assert response.status_code == 200
    assert identity(application.requests[0]) == OF_GOOD


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, "Bearer"),
        ({"authorization": "Basic dTpw"}, "Bearer"),
        ({"authorization": "Bearer a.b.c"}, 'Bearer error="invalid_token"'),
        (bearer(GOOD, exp=1), 'Bearer error="invalid_token"'),
        (bearer(GOOD, sts="pending"), 'Bearer error="invalid_token"'),
        (bearer(GOOD, azp="https://evil.example"), 'Bearer error="invalid_token"'),
        (bearer(GONE), 'Bearer error="invalid_token"'),
    ],
    ids=["none", "basic", "garbage", "expired", "pending", "other-party", "deleted"],
)
def test_without_a_good_token_it_is_401_with_a_challenge(url, application, headers, challenge):
    response = httpx.get(f"{url}/orders", headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith(challenge)
    assert application.requests == []


@pytest.mark.parametrize("user", [BANNED, UNKNOWN])
def test_a_banned_and_an_unknown_user_is_403(url, application, user):
    response = httpx.get(f"{url}/orders?active=false", headers=bearer(user))

    assert response.status_code == 403
    assert application.requests == []


@pytest.mark.parametrize(
    "spoofed",
    [
        [("X-Auth-User-Id", "user_root"), ("X-Auth-Org-Id", "org_root"), ("X-Auth-Org-Role", "org:admin")],
        [("X-Auth-Actor-Id", "user_root")],
        [("X-Auth-Org-Id", "org_1"), ("X-Auth-Org-Id", "org_2")],
        [("x-AUTH-oRG-iD", "org_root"), ("X-AUTH-USER-ID", "user_root")],
        [("X_Auth_User_Id", "user_root"), ("x_auth_org_id", "org_root"), ("X-Auth_Org-Role", "org:admin")],
        [("X.Auth.User.Id", "user_root"), ("x.auth.org.id", "org_root"), ("X-Auth.Org-Role", "org:admin")],
        [("Connection", "X-Auth-User-Id, X-Auth-Session-Id"), ("X-Auth-User-Id", "user_root")],
        [("X-Auth-User-Id", ""), ("X-Auth-Org-Id", "")],
    ],
    ids=["plain", "empty-one", "twice", "odd-case", "underscores", "dots", "hop-by-hop", "empty"],
)
def test_what_a_client_says_about_itself_never_reaches_the_application(url, application, spoofed):
    headers = [(name.encode(), value.encode()) for name, value in [*bearer(GOOD).items(), *spoofed]]
    response = httpx.get(url, headers=httpx.Headers(headers))

    assert response.status_code == 200
    seen = identity(application.requests[0])
    if spoofed[0][0] == "Connection":
        assert seen.items() <= OF_GOOD.items()  # some drop what it names: nobody is a refusal, not somebody else
    else:
        assert seen == OF_GOOD


def test_a_claim_to_be_somebody_is_no_token(url, application):
    response = httpx.get(url, headers={"x-auth-user-id": GOOD, "x-auth-session-id": "sess_1"})

    assert response.status_code == 401
    assert application.requests == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [b"x" * 100_000, [b"x" * 50_000, b"x" * 50_000]], ids=["sized", "chunked"])
def test_a_body_reaches_the_application_alone_and_whole(url, application, method, body):
    content = body if isinstance(body, bytes) else iter(body)
    response = httpx.request(method, f"{url}/upload", headers=bearer(GOOD), content=content)

    assert response.status_code == 200
    [request] = application.requests
    assert (request.method, request.body) == (method, b"x" * 100_000)
    assert identity(request) == OF_GOOD


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "PROPFIND"])
def test_any_method_needs_a_token(url, application, method):
    response = httpx.request(method, f"{url}/upload", content=b"x" * 100_000 if method != "HEAD" else None)

    assert response.status_code == 401
    assert application.requests == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PROPFIND"])
def test_any_method_may_pass_with_one(url, application, method):
    response = httpx.request(method, f"{url}/upload", headers=bearer(GOOD))

    assert response.status_code == 200
    assert [request.method for request in application.requests] == [method]


def test_two_tokens_are_none(url, application):
    both = [(b"authorization", value.encode()) for user in (GOOD, BANNED) for value in bearer(user).values()]
    response = httpx.get(url, headers=httpx.Headers(both))

    assert response.status_code in (400, 401)
    assert application.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/../../health/live",
        "/../../../health/live",
        "/%2e%2e/%2e%2e/health/live",
        "/..%2f..%2fhealth/live",
        "//health/live",
        "/health/live",
        "/v1/verify?active=true",
        "/_auth",
    ],
)
def test_no_path_leads_past_the_question(url, application, path):
    raw = httpx.Request("GET", url)
    raw.url = raw.url.copy_with(raw_path=path.encode())
    with httpx.Client() as client:
        response = client.send(raw)

    assert response.status_code in (400, 401, 404)
    assert application.requests == []


def test_without_active_our_row_is_not_asked(name, service, application, tmp_path):
    with proxy(name, tmp_path, service=service.port, application=application.port, active=False) as url:
        answers = [httpx.get(f"{url}/orders?x=1", headers=bearer(user)) for user in (GOOD, BANNED, UNKNOWN)]
        with_query = httpx.get(f"{url}/orders", headers=bearer(GOOD, exp=1))

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert identity(application.requests[1])["x-auth-user-id"] == BANNED
    assert with_query.status_code == 401


def test_when_the_service_is_down_everybody_is_refused_until_it_is_back(name, service, application, tmp_path):
    port = free_port()
    with proxy(name, tmp_path, service=port, application=application.port) as url:
        answers = [httpx.get(url, headers=headers, timeout=20) for headers in (bearer(GOOD), {})]

        assert [answer.status_code for answer in answers] == [DOWN[name]] * 2
        assert application.requests == []
        with http_server(lambda _: Answer(), port=port):
            assert httpx.get(url, headers=bearer(GOOD), timeout=20).status_code == 200


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
def test_an_answer_that_is_no_verdict_is_a_refusal(name, application, tmp_path, status):
    with (
        http_server(lambda _: Answer(401)) as service,
        proxy(name, tmp_path, service=service.port, application=application.port) as url,
    ):
        service.answers = lambda _: Answer(status)
        response = httpx.get(url, headers=bearer(GOOD), timeout=20)

    assert response.status_code >= 300
    assert application.requests == []
