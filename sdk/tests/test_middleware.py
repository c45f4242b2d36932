from typing import Any

import pytest

from anomalyze_auth import (
    OPTIONAL,
    PUBLIC,
    AuthMiddleware,
    PemKey,
    Refused,
    Requirement,
    SessionVerifier,
    cookie_suffix_of,
    identity_of,
    middleware,
    require,
)
from anomalyze_auth.fastapi import requires as fastapi_requires
from anomalyze_auth.litestar import requires as litestar_requires
from sdktest.rows import each_row
from sdktest.tokens import ISSUER, NOW, PARTY, claims, pem, signed

VERIFIER = SessionVerifier(PemKey(pem()), issuer=ISSUER, authorized_parties=[PARTY], now=lambda: float(NOW))
BEARER = [(b"authorization", f"Bearer {signed()}".encode())]


def http(path: str = "/", headers=(), **changes):
    return {"type": "http", "method": "GET", "path": path, "headers": list(headers), **changes}


def websocket(path: str = "/", headers=(), **changes):
    return {"type": "websocket", "path": path, "headers": list(headers), **changes}


async def unused(*_: object) -> Any:
    pytest.fail("called for a scope that is no request")


async def exchanged(app, scope) -> list[dict[str, Any]]:
    """What the application sends in this scope."""
    sent: list[dict[str, Any]] = []
    kind = "websocket.connect" if scope["type"] == "websocket" else "http.request"
    incoming = iter([{"type": kind}])

    async def receive():
        return next(incoming)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def answering(scope, receive, send):
    identity = identity_of(scope)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"" if identity is None else identity.user_id.encode()})


async def accepting(scope, receive, send):
    await receive()
    require(scope, Requirement(role="org:admin"))
    await send({"type": "websocket.accept"})


@pytest.mark.parametrize("extensions", [{}, {"extensions": {}}, {"extensions": None}])
@pytest.mark.parametrize(
    ("headers", "close"),
    [
        ([], {"type": "websocket.close", "code": 4401, "reason": "token-missing"}),
        (BEARER, {"type": "websocket.close", "code": 4403, "reason": "role-required"}),
    ],
)
async def test_a_server_that_cannot_answer_a_handshake_closes_it(extensions, headers, close):
    app = AuthMiddleware(accepting, VERIFIER)

    assert await exchanged(app, websocket(headers=headers, **extensions)) == [close]


async def test_an_ambiguous_path_of_a_handshake_closes_it():
    app = AuthMiddleware(accepting, VERIFIER, default=PUBLIC)

    assert await exchanged(app, websocket("/a/../b")) == [
        {"type": "websocket.close", "code": 4400, "reason": "path-ambiguous"}
    ]


async def test_scopes_that_are_no_request_pass_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    await AuthMiddleware(app, VERIFIER)({"type": "lifespan"}, unused, unused)

    assert seen == [{"type": "lifespan"}]


async def test_a_scope_of_another_kind_is_not_let_through():
    with pytest.raises(KeyError):
        await AuthMiddleware(answering, VERIFIER, default=PUBLIC)({"type": "webtransport"}, unused, unused)


async def test_a_preflight_that_gets_here_is_refused_and_the_log_says_once_how_to_mend_that(caplog):
    headers = [(b"origin", PARTY.encode()), (b"access-control-request-method", b"GET")]
    app = AuthMiddleware(answering, VERIFIER, rules={"/open": PUBLIC})
    middleware._warn_of_a_preflight.cache_clear()

    for _ in range(3):
        assert (await exchanged(app, http(headers=headers, method="OPTIONS")))[0]["status"] == 401
    assert (await exchanged(app, http("/open", headers=headers, method="OPTIONS")))[0]["status"] == 200

    [line] = [record for record in caplog.records if record.name == "anomalyze_auth.middleware"]
    assert "CORS" in line.message


async def test_a_refusal_after_the_answer_has_begun_is_an_error_and_not_a_second_answer():
    async def late(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        require(scope, Requirement(role="org:admin"))

    with pytest.raises(Refused):
        await exchanged(AuthMiddleware(late, VERIFIER), http(headers=BEARER))


async def test_an_identity_cannot_be_smuggled_in_from_an_outer_scope():
    app = AuthMiddleware(answering, VERIFIER, default=OPTIONAL)

    sent = await exchanged(app, http(**{"anomalyze_auth.identity": "user_admin", "user": "user_admin"}))

    assert sent[1]["body"] == b""


@each_row("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY"])
async def test_a_cookie_on_behalf_of_a_foreign_page_is_refused_whatever_the_method(method: str):
    cookie, evil = (b"cookie", f"__session={signed()}".encode()), (b"origin", b"https://evil.example.com")
    app = AuthMiddleware(answering, VERIFIER, rules={"/maybe": OPTIONAL})

    for path in ("/", "/maybe"):
        refused = await exchanged(app, http(path, method=method, headers=[cookie, evil]))
        assert refused[0]["status"] == 403
        assert b"origin-refused" in refused[1]["body"]
        own = await exchanged(app, http(path, method=method, headers=[cookie, (b"origin", PARTY.encode())]))
        assert own[0]["status"] == 200
        assert (await exchanged(app, http(path, method=method, headers=[*BEARER, evil])))[0]["status"] == 200


async def test_without_cookies_only_the_header_counts():
    headers_only = SessionVerifier(PemKey(pem()), issuer=ISSUER, now=lambda: float(NOW))
    app = AuthMiddleware(answering, headers_only, cookies=False)

    assert (await exchanged(app, http(headers=BEARER)))[0]["status"] == 200
    assert (await exchanged(app, http(headers=[(b"cookie", f"__session={signed()}".encode())])))[0]["status"] == 401


def test_cookies_without_authorized_parties_are_an_error_at_the_start():
    with pytest.raises(ValueError, match="authorized_parties"):
        AuthMiddleware(answering, SessionVerifier(PemKey(pem()), issuer=ISSUER))


def test_an_application_without_the_middleware_is_an_error_and_not_an_open_door():
    with pytest.raises(RuntimeError, match="not installed"):
        identity_of(http(headers=BEARER))
    with pytest.raises(RuntimeError, match="not installed"):
        require(http(headers=BEARER))


MEMBER = {"o": {"id": "org_1", "rol": "member", "per": "read", "fpm": "1"}, "fea": "o:billing"}


@each_row(
    ("requirement", "token_claims", "refused"),
    [
        (Requirement(), {}, None),
        (Requirement(organization=True), {}, "organization-required"),
        (Requirement(organization=True), MEMBER, None),
        (Requirement(organization="org_1"), MEMBER, None),
        (Requirement(organization="org_2"), MEMBER, "organization-required"),
        (Requirement(role="org:member"), MEMBER, None),
        (Requirement(role="member"), MEMBER, "role-required"),
        (Requirement(role="org:admin"), MEMBER, "role-required"),
        (Requirement(role="org:admin"), {}, "role-required"),
        (Requirement(permission="org:billing:read"), MEMBER, None),
        (Requirement(permission="org:billing:manage"), MEMBER, "permission-required"),
        (Requirement(permission="org:billing:read"), {}, "permission-required"),
        (Requirement(role="org:member", permission="org:billing:manage"), MEMBER, "permission-required"),
        (Requirement(in_person=True), {}, None),
        (Requirement(in_person=True), {"act": {"sub": "user_admin"}}, "impersonation-refused"),
    ],
)
def test_a_requirement_names_what_is_missing(requirement, token_claims, refused):
    problem = requirement.refusal(VERIFIER.verify_now(signed(claims(**token_claims))))

    assert (None if problem is None else problem.code) == refused
    assert problem is None or problem.status == 403


@each_row(
    ("wrong", "error"),
    [
        ({"organization": ""}, ValueError),
        ({"organization": "  "}, ValueError),
        ({"organization": None}, TypeError),
        ({"organization": 0}, TypeError),
        ({"organization": 1}, TypeError),
        ({"organization": ["org_1"]}, TypeError),
        ({"organization": b"org_1"}, TypeError),
        ({"role": ""}, ValueError),
        ({"role": "\t"}, ValueError),
        ({"role": False}, TypeError),
        ({"role": ("org:admin", "org:owner")}, TypeError),
        ({"permission": ""}, ValueError),
        ({"permission": {"org:billing:read"}}, TypeError),
        ({"permission": False}, TypeError),
        ({"in_person": None}, TypeError),
        ({"in_person": "yes"}, TypeError),
        ({"in_person": 1}, TypeError),
    ],
)
def test_a_requirement_that_would_check_nothing_or_refuse_everybody_is_an_error_at_the_start(wrong, error):
    for made in (Requirement, fastapi_requires, litestar_requires):
        with pytest.raises(error, match=next(iter(wrong))):
            made(**wrong)


@each_row(
    "wrong",
    [
        {"leeway": float("nan")},
        {"leeway": float("inf")},
        {"leeway": -1},
        {"audience": ""},
        {"audience": []},
        {"audience": ["api", ""]},
        {"issuer": ""},
    ],
)
def test_a_verifier_that_would_check_nothing_or_refuse_everybody_is_an_error_at_the_start(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SessionVerifier(PemKey(pem()), **{"issuer": ISSUER, **wrong})


def test_the_cookie_suffix_is_that_of_clerks_own_code():
    # base64(sha1(key)) with + and / replaced by - and _, its first 8 characters, computed with OpenSSL.
    assert cookie_suffix_of("pk_test_Y2xlcmsuZXhhbXBsZS5jb20k") == "l2OS3d9k"
