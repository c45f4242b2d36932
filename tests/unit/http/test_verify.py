import httpx
import pytest
from sdktest.rows import each_row

from application.errors import ClerkUnavailableError, StoreUnavailableError
from support.users import USER, snapshot
from support.web import bearer, created, deleted

IDENTITY = ["x-auth-user-id", "x-auth-session-id", "x-auth-org-id", "x-auth-org-role", "x-auth-actor-id"]


def identity(response):
    return {name: response.headers[name] for name in IDENTITY}


async def test_a_good_token_is_exactly_200_with_an_empty_body_and_every_identity_header(web):
    response = await web.client.get("/v1/verify", headers=bearer())

    assert (response.status_code, response.content) == (200, b"")
    assert identity(response) == dict.fromkeys(IDENTITY, "") | {"x-auth-user-id": USER, "x-auth-session-id": "sess_1"}
    assert response.headers["cache-control"] == "no-store"


async def test_organization_and_actor_are_passed_on_in_the_long_form(web):
    claims = {"v": 2, "o": {"id": "org_1", "slg": "acme", "rol": "admin"}, "act": {"sub": "user_2admin"}}
    response = await web.client.get("/v1/verify", headers=bearer(**claims))

    assert identity(response) == {
        "x-auth-user-id": USER,
        "x-auth-session-id": "sess_1",
        "x-auth-org-id": "org_1",
        "x-auth-org-role": "org:admin",
        "x-auth-actor-id": "user_2admin",
    }


async def test_what_the_client_claims_about_itself_is_not_repeated(web):
    response = await web.client.get("/v1/verify", headers={**bearer(), "x-auth-org-id": "org_evil"})

    assert response.headers.get_list("x-auth-org-id") == [""]


@each_row("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X"])
@each_row("path", ["/v1/verify", "/v1/verify/", "/v1/ext-authz", "/v1/ext-authz/", "/v1/ext-authz/a/b//c.php"])
async def test_any_method_and_under_the_prefix_any_path(web, method, path):
    good = await web.client.request(method, path, headers=bearer(), content=b"body of the original request")
    bad = await web.client.request(method, path)

    assert (good.status_code, good.content) == (200, b"")
    assert bad.status_code == 401
    assert bad.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/%2e%2e/x", "/a%2Fb", "/a%0Ab", "//a", "/a%5c", "/%252e", "/%C0%AE", "/a;b"])
async def test_the_path_of_the_original_request_is_not_judged(web, path):
    good = await web.client.request("POST", "http://service.test/v1/ext-authz" + path, headers=bearer())
    bad = await web.client.request("POST", "http://service.test/v1/ext-authz" + path)

    assert (good.status_code, bad.status_code) == (200, 401)


@each_row("method", ["GET", "POST", "OPTIONS"])
@each_row(
    "path",
    [
        "//v1/verify",
        "/v1//verify",
        "/v1/verify//",
        "/v1/%2e/verify",
        "/v1%2Fverify",
        "//v1/ext-authz/a",
        "/v1/x/%2e%2e/verify",
        "/v1/verify%0A",
        "/v1/verify%00",
        "/v1/verify%5c",
        "/v1/%2576erify",
    ],
)
async def test_a_path_that_is_forward_auth_to_some_programs_only_is_refused_with_or_without_a_token(web, method, path):
    preflight = {"origin": "https://app.example.com", "access-control-request-method": "PUT"}
    good = await web.client.request(method, f"http://service.test{path}", headers={**preflight, **bearer()})
    bad = await web.client.request(method, f"http://service.test{path}", headers=preflight)

    assert (good.status_code, good.json()["code"]) == (bad.status_code, bad.json()["code"]) == (400, "bad-request")


async def test_a_preflight_of_another_service_is_judged_and_not_answered(web):
    preflight = {"origin": "https://app.example.com", "access-control-request-method": "PUT"}
    response = await web.client.options("/v1/ext-authz/orders", headers=preflight)

    assert response.status_code == 401
    assert "access-control-allow-origin" not in response.headers


async def test_the_host_of_the_original_request_is_not_judged(web):
    response = await web.client.get("/v1/ext-authz/", headers={**bearer(), "host": 'a b"'})

    assert response.status_code == 200


async def test_a_bad_token_is_401_with_a_reason(web):
    response = await web.client.get("/v1/verify", headers=bearer(exp=1))

    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


@pytest.mark.parametrize("claims", [{"sid": "s\r\nx-auth-user-id: user_root"}, {"act": {"sub": "usér"}}])
async def test_a_claim_that_fits_no_header_is_401(web, claims):
    response = await web.client.get("/v1/verify", headers=bearer(**claims))

    assert response.status_code == 401


async def test_without_active_our_row_is_not_read(web):
    await web.deliver(created(banned=True))
    response = await web.client.get("/v1/verify", headers=bearer())

    assert response.status_code == 200


@pytest.mark.parametrize("query", ["active=true", "active=true&active=true", "x=1&active=true", "%61ctive=true"])
async def test_active_refuses_a_banned_user_with_403(web, query):
    await web.deliver(created(banned=True))
    response = await web.client.get(f"/v1/verify?{query}", headers=bearer())

    assert (response.status_code, response.json()["code"]) == (403, "user-banned")


@pytest.mark.parametrize(
    "query", ["in_person=true", "active=true&in_person=true", "in_person=true&active=true&path=/x"]
)
async def test_in_person_refuses_an_impersonated_session_with_403(web, query):
    await web.deliver(created())
    own = await web.client.get(f"/v1/verify?{query}", headers=bearer())
    other = await web.client.get(f"/v1/verify?{query}", headers=bearer(act={"sub": "user_support"}))

    assert own.status_code == 200
    assert (other.status_code, other.json()["code"]) == (403, "impersonation-refused")


VALUES = ["", "=", "=yes", "=1", "=TRUE", "=True", "=true+", "=true%20", "=%74rue", "=on", "=false", "=0", "=true;x=1"]


@each_row("path", ["/v1/verify", "/v1/verify/"])
@each_row(
    "query",
    [name + value for name in ("active", "in_person", "cacheable", "%61ctive") for value in VALUES]
    + ["active=true&active=false", "active=false&active=true", "in_person=true&active=yes", "x=1&active=yes&path=/"]
    + [
        "Active=true",
        "ACTIVE=true",
        "in-person=true",
        "inPerson=true",
        "inperson=true",
        "active[]=true",
        "+active=true",
        *("activ=true", "actve=true", "acitve=true", "actives=true", "activate=true", "is_active=true"),
        "&".join(f"x{number}" for number in range(17)),
        *("in_persn=true", "in_persons=true", "person=true", "x=1&activ=true", "ac\u0442ive=true"),
        *(
            "active%3Dtrue",
            "x=1&in_person%3dtrue",
            "active%3Dtrue%26in_person%3Dtrue",
            "%3Factive=true",
            "x" + "%3Bx" * 16,
        ),
        *("cachable=true", "Cacheable=true", "is_cacheable=true", "cacheable=true&cacheable=false"),
    ]
    + ["active=true/orders", "active=true?x=1"],
)
async def test_a_check_that_is_asked_for_in_another_way_is_400_and_not_left_out(web, path, query):
    response = await web.client.get(f"{path}?{query}", headers=bearer())

    assert (response.status_code, response.json()["code"]) == (400, "verify-query-not-valid")


@each_row("query", ["x=1", "archive=true", "a=&b", "personal=1", "cache=1", "cached=1", f"{'active' * 3}=true"])
async def test_a_parameter_that_resembles_no_check_is_nobodys(web, query):
    assert (await web.client.get(f"/v1/verify?{query}", headers=bearer())).status_code == 200


@each_row("query", ["active=false", "active=", "active", "actives=true", "%zz=%00&&;=", "a=%ff"])
@each_row("where", ["/v1/ext-authz/x?", "/v1/ext-authz?", "/v1/verify?path=/orders?x=1&", "/v1/verify?path&"])
async def test_the_original_requests_query_is_its_own_business(web, where, query):
    response = await web.client.get(f"{where}{query}", headers=bearer())

    assert response.status_code == 200


@pytest.mark.parametrize("query", ["active=false", "active=no&x=1", "path=/x&active=false", "in_person=false", ""])
async def test_the_original_requests_query_switches_no_check_off(web, query):
    await web.deliver(created(banned=True))
    where = "/v1/verify?active=true&in_person=true&path=/orders?"
    banned = await web.client.get(f"{where}{query}", headers=bearer())
    impersonated = await web.client.get(f"{where}{query}", headers=bearer(act={"sub": "user_support"}))

    assert banned.json()["code"] == "user-banned"
    assert impersonated.json()["code"] == "impersonation-refused"


@each_row("path", ["/v1/verify", "/v1/ext-authz/orders"])
@each_row(
    "connection",
    [
        ["X-Auth-User-Id"],
        ["x-auth-session-id"],
        ["X-AUTH-ORG-ID"],
        ["X-Auth-Org-Role"],
        ["X-Auth-Actor-Id"],
        ["close, X-Auth-Actor-Id"],
        ["keep-alive,x-auth-actor-id"],
        ["close", "X-Auth-Actor-Id"],
        ["\tX-Auth-Actor-Id\t"],
        ["X_Auth_Actor_Id"],
        ["x.auth.actor.id"],
        ["X-Auth-Anything"],
        [", ,X-Auth-Actor-Id,"],
        ['"X-Auth-Actor-Id"'],
    ],
)
async def test_a_connection_header_that_names_an_identity_header_is_400(web, path, connection):
    headers = [*bearer(act={"sub": "user_support"}).items(), *(("connection", value) for value in connection)]
    response = await web.client.get(path, headers=httpx.Headers(headers))

    assert (response.status_code, response.json()["code"]) == (400, "identity-header-named")


@pytest.mark.parametrize(
    "connection", ["close", "keep-alive", "Upgrade", "keep-alive, Upgrade", "TE", "Authorization", ""]
)
async def test_any_other_connection_header_is_fine(web, connection):
    response = await web.client.get("/v1/verify", headers={**bearer(), "connection": connection})

    assert response.status_code == 200


async def test_active_refuses_a_deleted_user_with_401(web):
    await web.deliver(deleted())
    response = await web.client.get("/v1/verify?active=true", headers=bearer())

    assert (response.status_code, response.json()["code"]) == (401, "user-deleted")


async def test_active_syncs_an_unknown_user_there_and_then(web):
    web.identities.users[USER] = snapshot()
    response = await web.client.get("/v1/verify?active=true", headers=bearer())

    assert response.status_code == 200
    assert USER in web.users.rows


async def test_active_refuses_a_user_nobody_knows_with_403(web):
    response = await web.client.get("/v1/verify?active=true", headers=bearer())

    assert (response.status_code, response.json()["code"]) == (403, "user-not-admitted")


@pytest.mark.parametrize("error", [StoreUnavailableError("down"), ClerkUnavailableError("down")])
async def test_a_fault_is_503_and_no_verdict(web, monkeypatch, error):
    async def fail(*_):
        raise error

    part = web.users if isinstance(error, StoreUnavailableError) else web.identities
    monkeypatch.setattr(type(part), "get", fail)
    response = await web.client.get("/v1/verify?active=true", headers=bearer())

    assert response.status_code == 503


async def test_it_never_redirects(web):
    for path, status in [("/v1/verify/", 401), ("/v1//verify", 400), ("/v1/ext-authz//evil.example", 401)]:
        response = await web.client.get(httpx.URL(f"http://service.test{path}"))

        assert response.status_code == status
