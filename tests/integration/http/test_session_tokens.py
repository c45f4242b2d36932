"""Session tokens on the wire: `auth-service serve` as a process, on a real PostgreSQL and a real key server."""

import base64
import hashlib
import time
from functools import cache
from types import SimpleNamespace

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from dependency_injector.providers import Object

from anomalyze_auth import JwksKeys
from support.http_process import start
from support.http_server import Answer, http_server
from support.users import USER
from support.web import PARTY, PUBLISHABLE_KEY, bearer, created, deleted, signed, signing_key, token, web

SUFFIX = base64.urlsafe_b64encode(hashlib.sha1(PUBLISHABLE_KEY.encode()).digest()).decode()[:8]
IDENTITY = {"x-auth-user-id": USER, "x-auth-session-id": "sess_1"}


@cache
def next_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_set(**keys):
    """The answer of a key server."""
    entries = [jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) for key in keys.values()]
    return Answer(document={"keys": [{**entry, "kid": kid} for kid, entry in zip(keys, entries, strict=True)]})


@pytest.fixture
def key_server():
    with http_server(lambda _: key_set(ins_1=signing_key())) as server:
        yield server


@pytest.fixture
def url(serve, database_url, key_server):
    variables = {"CLERK_JWT_KEY": "", "CLERK_JWKS_URL": f"{key_server.url}/.well-known/jwks.json"}
    return serve("--workers=1", DATABASE_URL=database_url, **variables).url


def verify(url, session, **headers):
    return httpx.get(f"{url}/v1/verify", headers={"authorization": f"Bearer {session}", **headers}, timeout=20)


def deliver(url, body):
    assert httpx.post(f"{url}/webhooks/clerk", content=body, headers=signed(body), timeout=20).status_code == 200


# Keys from a key server


def test_keys_are_fetched_once_and_a_rotated_key_works_at_once_without_a_restart(url, key_server):
    old = [verify(url, token(key_id="ins_1")).status_code for _ in range(5)]

    assert (old, len(key_server.requests)) == ([200] * 5, 1)
    key_server.answers = lambda _: key_set(ins_1=signing_key(), ins_2=next_key())
    new = [verify(url, token(key_id="ins_2", key=next_key())).status_code for _ in range(5)]

    assert (new, len(key_server.requests)) == ([200] * 5, 2)
    assert verify(url, token(key_id="ins_1")).status_code == 200


def test_tokens_with_made_up_keys_are_401_and_cause_one_fetch(url, key_server):
    verify(url, token(key_id="ins_1"))
    answers = [verify(url, token(key_id=f"ins_{number}", key=next_key())) for number in range(2, 40)]

    assert {(answer.status_code, answer.json()["reason"]) for answer in answers} == {(401, "unknown-key")}
    assert len(key_server.requests) == 2
    assert verify(url, token(key_id="ins_1", key=next_key())).status_code == 401


def test_an_outage_of_the_key_server_is_not_noticed_by_tokens_whose_key_is_at_hand(url, key_server):
    verify(url, token(key_id="ins_1"))
    key_server.answers = lambda _: Answer(503)

    assert verify(url, token(key_id="ins_1")).status_code == 200
    unknown = verify(url, token(key_id="ins_2", key=next_key()))
    assert (unknown.status_code, unknown.json()["code"]) == (503, "keys-unavailable")
    assert verify(url, token(key_id="ins_1")).status_code == 200


@pytest.mark.parametrize(
    "answer",
    [Answer(503), Answer(document="no key set"), Answer(document={"keys": []}), Answer(after_s=60)],
    ids=["down", "nonsense", "empty", "slow"],
)
def test_a_key_server_that_is_no_use_at_the_start_is_503_until_it_is(url, key_server, answer):
    key_server.answers = lambda _: answer
    first = verify(url, token(key_id="ins_1"))

    assert (first.status_code, first.json()["code"]) == (503, "keys-unavailable")
    assert first.headers["retry-after"]
    assert httpx.get(f"{url}/health").status_code == 503
    key_server.answers = lambda _: key_set(ins_1=signing_key())
    assert status_in_the_end(url, not_yet=503) == 200
    assert httpx.get(f"{url}/health").json()["checks"]["session_keys"] == "ok"


def status_in_the_end(url, *, not_yet):
    deadline = time.monotonic() + 60
    while (status := verify(url, token(key_id="ins_1")).status_code) == not_yet and time.monotonic() < deadline:
        time.sleep(0.1)
    return status


async def test_keys_serve_for_an_hour_after_the_key_server_went_away_and_then_nobody_can_tell(key_server):
    time_of = SimpleNamespace(test=0.0)
    keys = JwksKeys(key_server.url, clock=lambda: time_of.test)

    async def status():
        return (await service.client.get("/v1/verify", headers=headers)).status_code

    async with web() as service:
        service.container.session_keys.override(Object(keys))
        headers = {"authorization": f"Bearer {token(key_id='ins_1')}"}
        assert await status() == 200
        key_server.answers = lambda _: Answer(503)
        for time_of.test in (299.0, 301.0, 3_000.0, 3_899.0):
            assert await status() == 200
        time_of.test = 3_901.0
        assert await status() == 503
        key_server.answers = lambda _: key_set(ins_1=signing_key())
        time_of.test = 3_910.0
        assert await status() == 200
        await keys.aclose()


# Where the token is


@pytest.mark.parametrize(
    ("cookie", "status"),
    [
        ("__session={good}", 200),
        ("a=1; __session={good}; b=2", 200),
        (f"__session_{SUFFIX}={{good}}", 200),
        (f"__session=stale; __session_{SUFFIX}={{good}}", 200),
        (f"__session_{SUFFIX}=stale; __session={{good}}", 200),
        ("__session={stale}; __session={good}", 200),
        ("__session={good}; __session={stale}", 200),
        (f"__session={{good}}; __session_{SUFFIX}={{stale}}", 200),
        (f"__session_{SUFFIX}={{stale}}; __session={{good}}", 200),
        ('__session="{good}"', 200),
        ("a=1;  __session  =  {good}  ;", 200),
        ("__session=; __session={good}", 200),
        ("; ".join([f"__session=x.{number}.y" for number in range(250)]) + "; __session={good}", 200),
        ("__session={stale}; __session={stale}", 401),
        ("theme=dark __session={good}", 401),
        ("__session_OtherOne={good}", 401),
        ("__sessions={good}", 401),
        ("__session=", 401),
    ],
)
def test_the_session_cookie_with_and_without_its_suffix(offline, cookie, status):
    line = cookie.replace("{good}", token()).replace("{stale}", token(iat=1, exp=2))
    for path in ("/v1/verify", "/v1/ext-authz/a"):
        assert httpx.get(f"{offline.url}{path}", headers={"cookie": line}).status_code == status


def test_a_split_cookie_header_is_read_as_one(offline):
    lines = [
        ("cookie", f"__session={token(iat=1, exp=2)}"),
        ("cookie", "theme=dark"),
        ("cookie", f"__session={token()}"),
    ]

    assert httpx.get(f"{offline.url}/v1/verify", headers=httpx.Headers(lines)).status_code == 200


ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        *(("/v1/verify", method) for method in ANY_METHOD),
        *(("/v1/ext-authz/orders", method) for method in ANY_METHOD),
        ("/v1/me", "GET"),
        ("/v1/me", "HEAD"),
    ],
)
def test_a_cookie_counts_for_pages_of_authorized_parties_alone(offline, method, path):
    statuses = {}
    for origin in (None, PARTY, "https://evil.example", "null", f"{PARTY}:8443", f"{PARTY}/"):
        headers = {"cookie": f"__session={token()}"} | ({"origin": origin} if origin else {})
        response = httpx.request(method, f"{offline.url}{path}", headers=headers, timeout=20)
        statuses[origin] = response.status_code
        if response.status_code == 403 and method != "HEAD":
            assert response.json()["code"] == "origin-refused"
        foreign = httpx.request(method, f"{offline.url}{path}", headers=bearer() | {"origin": "https://evil.example"})
        assert foreign.status_code != 403  # whoever has the token itself needs no cookie

    good = 503 if path == "/v1/me" else 200  # its database is not there
    assert statuses == dict.fromkeys(statuses, 403) | {None: good, PARTY: good}


def test_without_authorized_parties_no_cookie_is_read_and_the_start_says_so(serve):
    served = serve("--workers=1", CLERK_AUTHORIZED_PARTIES="", LOG_LEVEL="info")
    by_cookie = httpx.get(f"{served.url}/v1/verify", headers={"cookie": f"__session={token()}"})
    by_header = httpx.get(f"{served.url}/v1/verify", headers=bearer(azp="https://any.example"))
    served.stop()

    assert (by_cookie.status_code, by_cookie.json()["code"]) == (401, "token-missing")
    assert by_header.status_code == 200
    said = "\n".join(served.log)
    assert said.count("CLERK_AUTHORIZED_PARTIES is not set") == said.count("session_cookie_not_read") == 1
    assert said.count("AUTH_SERVICE_ORGANIZATIONS is not set") == said.count("no_management_by_token") == 1


def test_an_app_has_an_origin_too_however_it_is_spelled(serve):
    served = serve("--workers=1", CLERK_AUTHORIZED_PARTIES="Capacitor://LOCALHOST/, https://BÜCHER.example:443")
    for party in ("capacitor://localhost", "https://xn--bcher-kva.example"):
        headers = {"cookie": f"__session={token(azp=party)}", "origin": party}
        answer = httpx.get(f"{served.url}/v1/verify", headers=headers)
        preflight = httpx.options(
            f"{served.url}/v1/me", headers={"origin": party, "access-control-request-method": "GET"}
        )

        assert answer.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == party


def test_a_token_without_a_session_is_none(offline):
    answer = httpx.get(f"{offline.url}/v1/verify", headers=bearer(sid=None))

    assert (answer.status_code, answer.json()["reason"]) == (401, "claim-missing")


@pytest.mark.parametrize("line", ["Connection: X-Auth-Actor-Id", "connection: keep-alive, x-auth-user-id"])
def test_a_connection_header_that_names_an_identity_header_is_400(offline, line):
    head = f"GET /v1/verify HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer()['authorization']}\r\n{line}\r\n\r\n"

    assert offline.exchange(head.encode()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("query", "status"),
    [("active=yes", 400), ("active", 400), ("in_person=1", 400), ("In-Person=true", 400), ("in_person=true", 403)],
)
def test_a_check_is_made_or_refused_and_never_left_out(offline, query, status):
    answer = httpx.get(f"{offline.url}/v1/verify?{query}", headers=bearer(act={"sub": "user_support"}))

    assert answer.status_code == status


@pytest.mark.parametrize(
    "variables",
    [
        {"CLERK_JWKS_URL": "http://keys.example.com/jwks"},
        {"CLERK_ISSUER": "http://clerk.example.com"},
        {"CLERK_API_URL": "http://10.0.0.1:3004"},
        {"CLERK_API_URL": "http://clerk.test", "CLERK_SECRET_KEY": "sk_live_1"},
        {"CLERK_AUTHORIZED_PARTIES": "https://*.example.com"},
        {"AUTH_SERVICE_ORGANIZATIONS": "*,org_ours"},
        {"AUTH_SERVICE_KEYS": f"billing:write:{'0' * 64}"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_what_would_be_trusted_by_mistake_is_refused_at_the_start(variables):
    served = start(**variables)

    assert served.ended() == 78
    assert next(iter(variables)) in "\n".join(served.log)


def test_two_authorization_headers_are_no_token_whichever_a_proxy_would_take(offline):
    good, other = (bearer(user)["authorization"].encode() for user in (USER, "user_other"))
    for first, second in ((good, other), (other, good), (good, good)):
        headers = httpx.Headers([(b"authorization", first), (b"Authorization", second)])
        for path in ("/v1/me", "/v1/verify"):
            response = httpx.get(f"{offline.url}{path}", headers=headers)

            assert (response.status_code, response.json()["reason"]) == (401, "token-malformed")


def test_the_header_goes_before_the_cookie_and_another_scheme_does_not(offline):
    cookie = {"cookie": f"__session={token()}"}

    assert httpx.get(f"{offline.url}/v1/verify", headers={**cookie, "authorization": "Bearer x"}).status_code == 401
    assert httpx.get(f"{offline.url}/v1/verify", headers={**cookie, "authorization": "Basic x"}).status_code == 200


# Forward auth


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["/v1/verify", "/v1/ext-authz/any/path?x=1", "/v1/ext-authz/a/../b//c?active=false"])
def test_any_method_on_either_path_is_exactly_200_and_empty_or_a_challenge(offline, method, path):
    body = b"x" * 300_000 if method in ("POST", "PUT", "PATCH") else None
    with httpx.Client(base_url=offline.url) as client:  # the connection must survive each of them
        good = client.request(method, path, headers=bearer(), content=body)
        none = client.request(method, path, content=body)
        expired = client.request(method, path, headers=bearer(exp=1), content=body)

    assert (good.status_code, good.content) == (200, b"")
    assert {name: good.headers[name] for name in IDENTITY} == IDENTITY
    assert (none.status_code, none.headers["www-authenticate"]) == (401, "Bearer")
    assert expired.status_code == 401
    assert expired.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


# The table of answers, on a real row


def test_every_answer_about_a_user(url):
    def answer(path, user=USER, **headers):
        session = {"authorization": f"Bearer {token(user, key_id='ins_1')}"}
        response = httpx.get(f"{url}{path}", headers={**session, **headers}, timeout=20)
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["status"] == response.status_code
        assert response.headers["x-request-id"]
        return response

    def statuses(user=USER):
        return [answer(path, user).status_code for path in ("/v1/me", "/v1/verify", "/v1/verify?active=true")]

    assert statuses() == [404, 200, 403]  # nobody to ask: no Clerk key is configured
    deliver(url, created())
    assert statuses() == [200, 200, 200]
    me = answer("/v1/me")
    assert me.headers["cache-control"] == "private, no-cache"
    assert answer("/v1/me", **{"if-none-match": me.headers["etag"]}).status_code == 304
    assert answer("/v1/me", **{"if-none-match": '"other"'}).status_code == 200
    deliver(url, created(at=1_700_000_001_000, banned=True))
    assert statuses() == [403, 200, 403]
    deliver(url, created(at=1_700_000_002_000, first_name="Grace"))
    assert statuses() == [200, 200, 200]
    assert answer("/v1/me", **{"if-none-match": me.headers["etag"]}).json()["first_name"] == "Grace"
    deliver(url, deleted())
    assert statuses() == [401, 200, 401]
    assert answer("/v1/me").headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert answer("/v1/me").json()["code"] == "user-deleted"
