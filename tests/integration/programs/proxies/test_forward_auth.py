"""Forward auth behind real proxies, with the configurations of deploy/proxies."""

import re
import socket

import httpx
import pytest

from devkit.servers.ports import free_port
from support.http_server import Answer, http_server
from support.proxies import proxy
from support.web import PARTY, bearer, token

pytestmark = pytest.mark.programs

GOOD, BANNED, GONE, UNKNOWN = "user_good", "user_banned", "user_gone", "user_unknown"
HEADERS = ["x-auth-user-id", "x-auth-session-id", "x-auth-org-id", "x-auth-org-role", "x-auth-actor-id"]
OF_GOOD = {"x-auth-user-id": GOOD, "x-auth-session-id": "sess_1"}

DOWN = {"nginx": 503, "caddy": 502, "traefik": 500, "envoy": 503}
"""What each proxy tells a client when it cannot reach the service."""


def identity(request):
    """What an application takes for the identity: as CGI, PHP and lighttpd read names, and without empty values."""
    seen = [(re.sub("[^a-z0-9]", "-", name.lower()), value) for name, value in request.headers]
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
        (dict, "Bearer"),
        (lambda: {"authorization": "Basic dTpw"}, "Bearer"),
        (lambda: {"authorization": "Bearer a.b.c"}, 'Bearer error="invalid_token"'),
        (lambda: bearer(GOOD, exp=1), 'Bearer error="invalid_token", error_description="The token has expired'),
        (lambda: bearer(GOOD, sts="pending"), 'Bearer error="invalid_token"'),
        (lambda: bearer(GOOD, azp="https://evil.example"), 'Bearer error="invalid_token"'),
        (lambda: bearer(GONE), 'Bearer error="invalid_token", error_description="The user of this token was deleted'),
    ],
    ids=["none", "basic", "garbage", "expired", "pending", "other-party", "deleted"],
)
def test_without_a_good_token_it_is_401_with_a_challenge(url, application, headers, challenge):
    response = httpx.get(f"{url}/orders", headers=headers())

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
        [(re.sub("-", character, "X-Auth-User-Id"), "user_root") for character in "!#$%&'*+^`|~"],
        [("X-Auth-User-Id", ""), ("X-Auth-Org-Id", "")],
    ],
    ids=["plain", "empty-one", "twice", "odd-case", "underscores", "dots", "other-characters", "empty"],
)
def test_what_a_client_says_about_itself_never_reaches_the_application(url, application, spoofed):
    headers = [(name.encode(), value.encode()) for name, value in [*bearer(GOOD).items(), *spoofed]]
    response = httpx.get(url, headers=httpx.Headers(headers))

    assert response.status_code == 200
    assert identity(application.requests[0]) == OF_GOOD


IMPERSONATED = {"v": 2, "o": {"id": "org_1", "slg": "acme", "rol": "admin"}, "act": {"sub": "user_support"}}
OF_IMPERSONATED = {
    **OF_GOOD,
    "x-auth-org-id": "org_1",
    "x-auth-org-role": "org:admin",
    "x-auth-actor-id": "user_support",
}


@pytest.mark.parametrize(
    "connection",
    [
        *([name] for name in HEADERS),
        [", ".join(HEADERS)],
        ["keep-alive, X-AUTH-ACTOR-ID"],
        ["close,x-auth-actor-id"],
        ["close", "X-Auth-Actor-Id"],
        ["X-Auth-Actor-Id", "close"],
        ["Upgrade, X-Auth-Actor-Id"],
    ],
    ids="+".join,
)
def test_a_connection_header_takes_no_identity_header_away(url, application, connection):
    """Without its actor, an impersonated session would look like the user's own."""
    headers = [*bearer(GOOD, **IMPERSONATED).items(), *(("Connection", value) for value in connection)]
    response = httpx.get(url, headers=httpx.Headers(headers))

    assert response.status_code in (200, 400)
    reached = [OF_IMPERSONATED] if response.status_code == 200 else []
    assert [identity(request) for request in application.requests] == reached


@pytest.mark.parametrize(
    "spelled",
    [
        b"X-Auth-User-Id : user_root",
        b"X-Auth-User-Id\t: user_root",
        b" X-Auth-User-Id: user_root",
        b"X-Other: 1\r\n X-Auth-User-Id: user_root",
        b"X-Other: 1\nX-Auth-User-Id: user_root",
        b"X-Other: 1\rX-Auth-User-Id: user_root",
        b"X-Auth-User-Id\x00: user_root",
        b"X-Auth-User-Id:: user_root",
    ],
    ids=["space", "tab", "indented", "folded", "line-feed", "carriage-return", "null", "colons"],
)
def test_an_identity_header_that_is_badly_written_never_reaches_the_application(url, application, spelled):
    authorization = bearer(GOOD)["authorization"].encode()
    raw_exchange(url, b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: " + authorization + b"\r\n" + spelled + b"\r\n\r\n")

    assert all(identity(request) == OF_GOOD for request in application.requests)


def test_a_trailer_is_no_identity_header(url, application):
    head = f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer(GOOD)['authorization']}\r\n"
    body = "Transfer-Encoding: chunked\r\nTrailer: X-Auth-Actor-Id\r\n\r\n1\r\nx\r\n0\r\n"
    trailer = "X-Auth-Actor-Id: user_root\r\n\r\n"
    raw_exchange(url, (head + body + trailer).encode())

    assert [identity(request) for request in application.requests] == [OF_GOOD]


def raw_exchange(url: str, request: bytes) -> None:
    """Send bytes that no HTTP client would, and wait for the answer or the end."""
    parts = httpx.URL(url)
    with socket.create_connection((parts.host, parts.port), timeout=10) as connection:
        connection.sendall(request)
        connection.recv(65536)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("origin", "status"),
    [(PARTY, 200), ("https://evil.example", 403), ("null", 403), (f"{PARTY}.evil.example", 403), (None, 200)],
)
def test_a_cookie_counts_for_pages_of_authorized_parties_alone(url, application, method, origin, status):
    headers = {"cookie": f"__session={token(GOOD)}"} | ({"origin": origin} if origin else {})
    response = httpx.request(method, url, headers=headers)

    assert response.status_code == status
    assert [identity(request) for request in application.requests] == ([OF_GOOD] if status == 200 else [])


def test_a_websocket_handshake_with_a_cookie_of_a_foreign_page_is_refused(url, application):
    handshake = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    handshake |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "cookie": f"__session={token(GOOD)}"}
    response = httpx.get(url, headers={**handshake, "origin": "https://evil.example"})

    assert response.status_code == 403
    assert application.requests == []


@pytest.mark.parametrize(
    ("connection", "upgrades"),
    [
        ("Upgrade, HTTP2-Settings", ["h2c"]),
        ("Upgrade", ["H2C"]),
        ("upgrade", ["websocket, h2c"]),
        ("Upgrade", ["h2c", "websocket"]),
        ("Upgrade", ["websocket", "h2c"]),
    ],
)
def test_no_tunnel_of_http2_is_opened_to_the_application(url, application, connection, upgrades):
    """Of the requests in it only the first would be asked about, and all others could name any identity."""
    headers = [*bearer(GOOD).items(), ("Connection", connection), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]
    httpx.get(url, headers=httpx.Headers([*headers, *(("Upgrade", upgrade) for upgrade in upgrades)]))

    reached = [
        value for request in application.requests for name, value in request.headers if name.lower() == "upgrade"
    ]
    assert not any("h2c" in value.lower() for value in reached)


def test_of_several_cookies_the_good_one_counts(url, application):
    stale = token(GOOD, iat=1, exp=2)
    for line in (f"__session={stale}; __session={token(GOOD)}", f"__session={token(GOOD)}; __session={stale}"):
        assert httpx.get(url, headers={"cookie": line}).status_code == 200


def test_in_person_keeps_an_impersonated_session_out(name, service, application, tmp_path):
    with proxy(name, tmp_path, service=service.port, application=application.port, in_person=True) as url:
        own = httpx.get(f"{url}/orders?in_person=false", headers=bearer(GOOD))
        impersonated = httpx.get(f"{url}/orders?in_person=false", headers=bearer(GOOD, **IMPERSONATED))

    assert (own.status_code, impersonated.status_code) == (200, 403)
    assert [identity(request) for request in application.requests] == [OF_GOOD]


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


def test_an_answer_that_is_no_verdict_is_a_refusal(name, application, tmp_path):
    seen = {}
    with (
        http_server(lambda _: Answer(401)) as service,
        proxy(name, tmp_path, service=service.port, application=application.port) as url,
    ):
        for status in (302, 404, 429, 500, 503):
            service.requests.clear()
            service.answers = lambda _, status=status: Answer(status)
            response = httpx.get(url, headers=bearer(GOOD), timeout=20)
            seen[status] = (response.status_code >= 300, len(service.requests) > 0)

    assert seen == dict.fromkeys(seen, (True, True))  # each was refused, by what the service answered
    assert application.requests == []
