"""Who may look at users, and who may act on them."""

import pytest
from sdktest.rows import each_row

from entrypoints.config.service_keys import READ, SCOPES, new_service_key
from support.users import USER, snapshot
from support.web import bearer, created, deleted, token, web

ADMIN = "user_admin"
ADA = {"ids": USER}
KEY, CONFIGURED = new_service_key("billing")
SERVICE = {"authorization": f"Bearer {KEY}"}


def organization(*permissions: str, id_: str = "org_ours") -> dict[str, object]:
    """The claims of a session in which an organization is active (version 2)."""
    names = [permission.removeprefix("org:").split(":") for permission in permissions]
    features = list(dict.fromkeys(feature for feature, _ in names))
    actions = list(dict.fromkeys(action for _, action in names))
    masks = [sum(1 << actions.index(action) for f, action in names if f == feature) for feature in features]
    return {
        "v": 2,
        "fea": ",".join(f"o:{feature}" for feature in features),
        "o": {"id": id_, "rol": "admin", "per": ",".join(actions), "fpm": ",".join(map(str, masks))},
    }


MANAGE = organization("org:users:manage")


@pytest.fixture
async def served():
    async with web(AUTH_SERVICE_KEYS=str(CONFIGURED), AUTH_SERVICE_ORGANIZATIONS="org_ours") as started:
        await started.deliver(created(ADMIN))
        await started.deliver(created(USER))
        yield started


async def asked(served, headers):
    """The answers to a look and to an act: status, and code if it is a problem."""
    look = await served.client.get("/v1/users", params=ADA, headers=headers)
    act = await served.client.post(f"/v1/users/{USER}/ban", headers=headers)
    return [(answer.status_code, answer.json().get("code")) for answer in (look, act)]


async def test_a_service_by_its_key_may_do_both(served):
    served.identities.users[USER] = snapshot()

    assert await asked(served, SERVICE) == [(200, None)] * 2


async def test_a_person_with_the_permission_may_do_both(served):
    served.identities.users[USER] = snapshot()

    assert await asked(served, bearer(ADMIN, **MANAGE)) == [(200, None)] * 2


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"org_id": "org_ours", "org_role": "org:admin"},
        organization("org:users:read"),
        organization("org:billing:manage", "org:users:read"),
        {**MANAGE, "fea": "u:users"},
        {"org_permissions": ["org:users:manage"]},
        {"permissions": ["org:users:manage"], "role": "admin"},
    ],
    ids=["no-organization", "role-alone", "other-action", "crossed", "of-the-user", "no-active-one", "custom-claims"],
)
async def test_a_person_without_the_permission_may_do_neither(served, claims):
    assert await asked(served, bearer(ADMIN, **claims)) == [(403, "permission-missing")] * 2
    assert served.identities.done == []


async def test_the_permission_is_configurable():
    async with web(AUTH_SERVICE_PERMISSION="org:staff:support", AUTH_SERVICE_ORGANIZATIONS="org_ours") as served:
        await served.deliver(created(ADMIN))
        may = await served.client.get(
            "/v1/users", params=ADA, headers=bearer(ADMIN, **organization("org:staff:support"))
        )
        may_not = await served.client.get("/v1/users", params=ADA, headers=bearer(ADMIN, **MANAGE))

    assert (may.status_code, may_not.status_code) == (200, 403)


async def test_the_permission_counts_in_the_configured_organizations_alone():
    async with web(AUTH_SERVICE_ORGANIZATIONS="org_ours,org_too") as served:
        await served.deliver(created(ADMIN))
        statuses = {}
        for id_ in ("org_ours", "org_too", "org_customer"):
            headers = bearer(ADMIN, **organization("org:users:manage", id_=id_))
            statuses[id_] = (await served.client.get("/v1/users", params=ADA, headers=headers)).status_code

    assert statuses == {"org_ours": 200, "org_too": 200, "org_customer": 403}


@pytest.mark.parametrize(
    ("organizations", "code"),
    [("", "permission-missing"), ("  ", "permission-missing"), ("org_other", "permission-missing"), ("*", None)],
)
async def test_without_a_named_organization_nobody_manages_users_but_services(organizations, code):
    async with web(AUTH_SERVICE_KEYS=str(CONFIGURED), AUTH_SERVICE_ORGANIZATIONS=organizations) as served:
        await served.deliver(created(ADMIN))
        served.identities.users[USER] = snapshot()
        by_person = await asked(served, bearer(ADMIN, **MANAGE))
        by_service = await asked(served, SERVICE)

    assert by_person == [(200 if code is None else 403, code)] * 2
    assert by_service == [(200, None)] * 2


@pytest.mark.parametrize("organization_id", ["*", "org_ours,org_too", " org_ours", "ORG_OURS"])
async def test_no_organization_of_a_token_passes_for_a_setting(served, organization_id):
    answers = await asked(served, bearer(ADMIN, **organization("org:users:manage", id_=organization_id)))

    assert {status for status, _ in answers} <= {401, 403}


ACTIONS = [scope for scope in SCOPES if scope != READ]


async def test_every_action_has_a_scope_of_its_name_and_there_is_no_other(served):
    document = (await served.client.get("/schema/openapi.json")).json()
    prefix = "/v1/users/{user_id}/"

    assert {path.removeprefix(prefix) for path in document["paths"] if path.startswith(prefix)} == set(ACTIONS)


@each_row("scope", [*SCOPES, "*"])
async def test_a_service_key_opens_what_it_was_made_for_and_nothing_else(scope):
    key, configured = new_service_key("narrow", [scope])
    headers = {"authorization": f"Bearer {key}"}
    async with web(AUTH_SERVICE_KEYS=str(configured)) as served:
        await served.deliver(created(USER))
        served.identities.users[USER] = snapshot()
        looks = [
            await served.client.get(path, params=params, headers=headers)
            for path, params in (("/v1/users", ADA), (f"/v1/users/{USER}", {}))
        ]
        body = {"set-metadata": {"public_metadata": {"a": 1}}}
        acts = {
            action: await served.client.post(f"/v1/users/{USER}/{action}", headers=headers, json=body.get(action, {}))
            for action in ACTIONS
        }

    opened = {action for action, answer in acts.items() if answer.status_code == 200}
    assert opened == (set(ACTIONS) if scope == "*" else {scope} - {READ})
    assert [answer.status_code for answer in looks] == [200 if scope in (READ, "*") else 403] * 2
    for answer in [*looks, *acts.values()]:
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (403, "scope-missing")
            assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


async def test_an_impersonated_session_may_look_and_not_act(served):
    headers = bearer(ADMIN, **MANAGE, act={"sub": "user_support", "iss": "https://clerk.example.com", "sid": "sess_2"})

    assert await asked(served, headers) == [(200, None), (403, "impersonation-refused")]
    assert served.identities.done == []


async def test_a_banned_admin_may_do_neither_whatever_the_token_says(served):
    await served.deliver(created(ADMIN, at=1_800_000_000_000, banned=True))

    assert await asked(served, bearer(ADMIN, **MANAGE)) == [(403, "user-banned")] * 2
    assert served.identities.done == []


async def test_a_deleted_admin_has_to_sign_in_again(served):
    await served.deliver(deleted(ADMIN))

    assert await asked(served, bearer(ADMIN, **MANAGE)) == [(401, "user-deleted")] * 2


async def test_an_admin_whom_nobody_knows_is_not_admitted(served):
    assert await asked(served, bearer("user_nobody", **MANAGE)) == [(403, "user-not-admitted")] * 2


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Basic dTpw"}, {"authorization": KEY}, {"x-service-key": KEY}]
)
async def test_without_credentials_it_is_401_with_a_bare_challenge(served, headers):
    answer = await served.client.get("/v1/users", params=ADA, headers=headers)

    assert await asked(served, headers) == [(401, "credentials-missing")] * 2
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_cookie_bans_nobody(served):
    """Browsers send it along with requests that other pages make."""
    headers = {"cookie": f"__session={token(ADMIN, **MANAGE)}"}

    assert await asked(served, headers) == [(401, "credentials-missing")] * 2
    assert served.identities.done == []


async def test_a_cookie_beside_a_key_does_not_matter(served):
    answer = await served.client.get("/v1/users", params=ADA, headers={**SERVICE, "cookie": "__session=stale"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "key",
    ["ask_", KEY[:-1], KEY + "x", KEY + " x", new_service_key("billing")[0], f"{KEY}, {KEY}"],
    ids=["empty", "cut", "longer", "with a word", "another", "twice"],  # the key differs from run to run
)
async def test_a_key_that_is_none_of_ours_is_401_and_is_not_repeated(served, key):
    answer = await served.client.get("/v1/users", params=ADA, headers={"authorization": f"Bearer {key}"})

    assert (answer.status_code, answer.json()["code"]) == (401, "service-key-not-valid")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert KEY[4:20] not in answer.text + str(answer.headers)


async def test_without_a_configured_key_no_key_is_good(web):
    answer = await web.client.get("/v1/users", params=ADA, headers=SERVICE)

    assert answer.json()["code"] == "service-key-not-valid"


async def test_while_rotating_both_keys_are_good():
    new, configured = new_service_key("billing-2")
    async with web(AUTH_SERVICE_KEYS=f"{CONFIGURED},{configured}") as served:
        for key in (KEY, new):
            answer = await served.client.get("/v1/users", params=ADA, headers={"authorization": f"bearer {key}"})

            assert answer.status_code == 200


async def test_a_service_key_is_no_session_token(served):
    me = await served.me(**SERVICE)
    verify = await served.client.get("/v1/verify", headers=SERVICE)

    assert (me.status_code, verify.status_code) == (401, 401)


@pytest.mark.parametrize("claims", [{"exp": 1}, {"sts": "pending"}, {"azp": "https://evil.example"}, {"sub": "mch_1"}])
async def test_a_bad_token_is_401_as_everywhere(served, claims):
    assert await asked(served, bearer(**{"user_id": ADMIN, **MANAGE, **claims})) == [(401, "token-not-valid")] * 2
