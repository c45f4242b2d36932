import json
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from sdktest.apps import APPS, COOKIE_SUFFIX, KID_OUT_OF_REACH
from sdktest.serving import served
from sdktest.tokens import NOW, PARTY, claims, header, signed

USER = {"user": "user_2abcDEFghi"}
NOBODY = {"user": None}
PLAIN = signed()
ADMIN = signed(claims(o={"id": "org_1", "rol": "admin"}))
READER = signed(claims(fea="o:billing", o={"id": "org_1", "rol": "member", "per": "read", "fpm": "1"}))
EXPIRED = signed(claims(exp=NOW - 60))
OUT_OF_REACH = signed(protected=header(kid=KID_OUT_OF_REACH))


@pytest.fixture(scope="module", params=list(APPS))
def origin(request: pytest.FixtureRequest) -> Iterator[str]:
    with served(APPS[request.param]()) as origin:
        yield origin


@pytest.fixture
def client(origin: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=origin) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_caller_with_a_token_in_the_header_is_let_in(client):
    answer = client.get("/me", headers=bearer(PLAIN))

    assert (answer.status_code, answer.json()) == (200, USER)


@pytest.mark.parametrize("name", ["__session", f"__session_{COOKIE_SUFFIX}"])
def test_a_caller_with_a_token_in_a_cookie_is_let_in(name: str, client):
    answer = client.get("/me", headers={"Cookie": f"theme=dark; {name}={PLAIN}"})

    assert (answer.status_code, answer.json()) == (200, USER)


def test_without_a_token_the_answer_is_401_with_a_bare_challenge(client):
    answer = client.get("/me")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["type"] == "urn:anomalyze:auth:problem:token-missing"
    assert (problem["code"], problem["status"]) == ("token-missing", 401)


def test_a_bad_token_is_401_and_says_why_but_never_repeats_the_token(client):
    answer = client.get("/me", headers=bearer(EXPIRED))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        'Bearer error="invalid_token", error_description="The token has expired."'
    )
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "token-not-valid"
    assert answer.json()["reason"] == "token-expired"
    assert EXPIRED not in answer.text + str(answer.headers)


def test_keys_out_of_reach_are_503_and_no_verdict(client):
    answer = client.get("/me", headers=bearer(OUT_OF_REACH))

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "5"
    assert "www-authenticate" not in answer.headers
    assert answer.json()["code"] == "keys-unavailable"


INVALID = 'Bearer error="invalid_token", error_description='
REFUSED = [
    ("sess_revoked", 401, "session-revoked", f'{INVALID}"The session of this token was ended."'),
    ("sess_of_a_deleted_user", 401, "user-deleted", f'{INVALID}"The user of this token was deleted."'),
    ("sess_of_a_banned_user", 403, "user-banned", None),
    ("sess_unknown", 503, "revocations-unavailable", None),
]


@pytest.mark.parametrize(("session_id", "status", "code", "challenge"), REFUSED)
def test_a_token_that_was_taken_back_is_answered_as_the_auth_service_does(session_id, status, code, challenge, client):
    answer = client.get("/me", headers=bearer(signed(claims(sid=session_id))))

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get("www-authenticate") == challenge
    assert answer.headers.get("retry-after") == ("5" if status == 503 else None)
    assert (answer.json()["code"], answer.json()["type"]) == (code, f"urn:anomalyze:auth:problem:{code}")


@pytest.mark.parametrize("session_id", ["sess_revoked", "sess_of_a_banned_user"])
def test_a_cookie_that_was_taken_back_counts_as_none_where_nobody_need_sign_in(session_id: str, client):
    cookie = {"Cookie": f"__session={signed(claims(sid=session_id))}"}

    assert client.get("/maybe", headers=cookie).json() == NOBODY
    assert client.get("/me", headers=cookie).status_code in {401, 403}


def test_of_two_cookies_the_one_whose_session_lasts_counts(client):
    newer = signed(claims(NOW + 2, sid="sess_revoked"))
    answer = client.get("/me", headers={"Cookie": f"__session={newer}; __session_{COOKIE_SUFFIX}={PLAIN}"})

    assert (answer.status_code, answer.json()) == (200, USER)


@pytest.mark.parametrize("headers", [{}, bearer("garbage"), bearer(PLAIN)])
def test_a_public_route_does_not_look_at_tokens(headers, client):
    answer = client.get("/health", headers=headers)

    assert (answer.status_code, answer.json()) == (200, NOBODY)


@pytest.mark.parametrize(
    ("headers", "status", "seen"),
    [
        ({}, 200, NOBODY),
        (bearer(PLAIN), 200, USER),
        ({"Cookie": f"__session={PLAIN}"}, 200, USER),
        ({"Cookie": f"__session={EXPIRED}"}, 200, NOBODY),
        (bearer(EXPIRED), 401, None),
    ],
)
def test_an_optional_route_knows_who_calls_when_somebody_does(headers, status, seen, client):
    answer = client.get("/maybe", headers=headers)

    assert answer.status_code == status
    assert seen is None or answer.json() == seen


@pytest.mark.parametrize("path", ["/admin/x", "/admin/x/", "/admin/%78"])
def test_a_rule_by_path_applies_however_the_path_is_written(path: str, client, origin):
    answer = client.get(origin + path, headers=bearer(PLAIN))

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "role-required"


@pytest.mark.parametrize(
    "path", ["/admin//x", "/admin/x%0A", "/admin/%2e%2e", "/admin%2fx", "/ADMIN/x", "/admin;v=1/x"]
)
def test_a_path_that_programs_read_in_different_ways_is_answered_400_or_reaches_no_route(path: str, client, origin):
    answer = client.get(origin + path, headers=bearer(ADMIN))

    if answer.status_code != 404:
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert "www-authenticate" not in answer.headers
        assert answer.json()["code"] == "path-ambiguous"


def test_a_rule_by_path_lets_in_who_has_what_it_demands(client):
    answer = client.get("/admin/x", headers=bearer(ADMIN))

    assert (answer.status_code, answer.json()) == (200, USER)


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [(READER, 200, None), (ADMIN, 403, "permission-required"), (PLAIN, 403, "permission-required")],
)
def test_a_requirement_of_a_route_is_answered_the_same_way(token: str, status: int, code: str | None, client):
    answer = client.get("/report", headers=bearer(token))

    assert answer.status_code == status
    if code is not None:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith('Bearer error="insufficient_scope"')
        assert answer.json()["code"] == code


def test_what_looks_like_a_preflight_needs_a_token_as_any_other_request_does(client):
    preflight = {"Origin": PARTY, "Access-Control-Request-Method": "GET"}

    assert client.options("/me", headers=preflight).json()["code"] == "token-missing"
    assert client.options("/admin/x", headers={**preflight, **bearer(PLAIN)}).json()["code"] == "role-required"
    assert client.options("/me", headers={**preflight, **bearer(PLAIN)}).status_code < 300


def socket_url(origin: str, path: str) -> str:
    return origin.replace("http://", "ws://") + path


@pytest.mark.parametrize("headers", [bearer(PLAIN), {"Cookie": f"__session={PLAIN}"}])
def test_a_websocket_with_a_token_is_accepted(headers, origin):
    with connect(socket_url(origin, "/socket"), additional_headers=headers) as socket:
        assert json.loads(socket.recv(timeout=5)) == USER


def test_a_websocket_with_a_cookie_from_the_authorized_origin_is_accepted(origin):
    cookie = {"Cookie": f"__session={PLAIN}"}
    with connect(socket_url(origin, "/socket"), additional_headers=cookie, origin=Origin(PARTY)) as socket:
        assert json.loads(socket.recv(timeout=5)) == USER


@pytest.mark.parametrize(
    ("path", "headers", "page", "status", "code"),
    [
        ("/socket", {}, None, 401, "token-missing"),
        ("/socket", bearer(EXPIRED), None, 401, "token-not-valid"),
        ("/socket", bearer(OUT_OF_REACH), None, 503, "keys-unavailable"),
        ("/socket", bearer(signed(claims(sid="sess_revoked"))), None, 401, "session-revoked"),
        ("/socket", bearer(signed(claims(sid="sess_of_a_banned_user"))), None, 403, "user-banned"),
        ("/socket", bearer(signed(claims(sid="sess_unknown"))), None, 503, "revocations-unavailable"),
        ("/socket", {"Cookie": f"__session={PLAIN}"}, "https://evil.example.com", 403, "origin-refused"),
        ("/admin/socket", bearer(PLAIN), None, 403, "role-required"),
        ("/admin%2Fsocket", bearer(ADMIN), None, 400, "path-ambiguous"),
    ],
)
def test_a_websocket_is_refused_before_it_is_accepted(path, headers, page, status, code, origin):
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(socket_url(origin, path), additional_headers=headers, origin=page),
    ):
        pass

    response = caught.value.response
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body)["code"] == code


def test_a_requirement_of_a_websocket_route_refuses_it_before_it_is_accepted(origin):
    with connect(socket_url(origin, "/report-socket"), additional_headers=bearer(READER)):
        pass
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(socket_url(origin, "/report-socket"), additional_headers=bearer(PLAIN)),
    ):
        pass

    assert caught.value.response.status_code == 403


def test_fastapi_documents_the_token_in_its_openapi():
    document = APPS["fastapi"]().openapi()

    assert document["components"]["securitySchemes"]["session token"]["scheme"] == "bearer"
    assert document["paths"]["/me"]["get"]["security"] == [{"session token": []}]
