"""`GET /v1/users…`, on the real ASGI application."""

import pytest
from sdktest.rows import each_row
from structlog.testing import capture_logs

from application.errors import StoreUnavailableError, UnstorableError
from application.users.representation import profile_document
from entrypoints.config.service_keys import new_service_key
from support.users import USER, snapshot
from support.web import created, deleted, web

KEY, CONFIGURED = new_service_key("billing")


@pytest.fixture
async def served():
    async with web(AUTH_SERVICE_KEYS=str(CONFIGURED)) as started:
        started.client.headers["authorization"] = f"Bearer {KEY}"
        yield started


def code(response):
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()["code"]


async def ids(served, **params):
    response = await served.client.get("/v1/users", params=params)
    assert response.status_code == 200
    document = response.json()
    return [user["id"] for user in document["users"]], document["missing"]


async def test_a_user_is_answered_in_the_published_shape_and_kept_by_nobody(served):
    await served.deliver(created())
    response = await served.client.get(f"/v1/users/{USER}")

    assert response.status_code == 200
    assert response.json() == profile_document(served.users.rows[USER])
    assert response.headers["cache-control"] == "no-store"


async def test_a_user_who_is_banned_is_shown_all_the_same(served):
    await served.deliver(created(banned=True))
    response = await served.client.get(f"/v1/users/{USER}")

    assert (response.status_code, response.json()["banned"]) == (200, True)


async def test_a_user_that_neither_we_nor_clerk_have_is_404(served):
    response = await served.client.get(f"/v1/users/{USER}")

    assert (response.status_code, code(response)) == (404, "user-unknown")


async def test_a_user_whose_webhook_has_not_arrived_is_fetched_and_synced(served):
    served.identities.users[USER] = snapshot()
    response = await served.client.get(f"/v1/users/{USER}")

    assert (response.status_code, response.json()["version"]) == (200, 1)
    assert [message.type for message in served.users.outbox] == ["anomalyze.user.created.v1"]


async def test_a_user_that_clerk_has_but_the_database_refuses_is_422(served, monkeypatch):
    async def fail(*_):
        raise UnstorableError("no")

    served.identities.users[USER] = snapshot()
    monkeypatch.setattr(type(served.users), "change", fail)
    response = await served.client.get(f"/v1/users/{USER}")

    assert (response.status_code, code(response)) == (422, "not-storable")


async def test_several_users_are_answered_from_our_own_rows_alone(served):
    served.identities.users[USER] = snapshot()

    assert await ids(served, ids=USER) == ([], [USER])
    assert served.identities.asked == []


async def test_a_user_who_was_deleted_is_410(served):
    await served.deliver(created())
    await served.deliver(deleted())
    response = await served.client.get(f"/v1/users/{USER}")

    assert (response.status_code, code(response)) == (410, "user-gone")
    assert "www-authenticate" not in response.headers


@pytest.mark.parametrize("path", ["ada", "user_", "user_a%20b", "%75ser_", "user_" + "a" * 200, "user_ä"])
async def test_a_path_that_names_no_user_is_422(served, path):
    response = await served.client.get(f"/v1/users/{path}")

    assert response.status_code in {404, 422}
    assert code(response) in {"request-not-valid", "not-found"}


@each_row(
    "path",
    [
        "/v1/users/user_a/%2e%2e/user_b",
        "/v1/users/user_a%2Fban",
        "/v1/users//user_a",
        "/v1/users/%2e%2e/me",
        "/v1/users/user_a%00",
        "/v1/users/user_a%0A",
        "/v1/users/%2E",
        "//v1/users/user_a",
        "/v1%2fusers/user_a",
        "/v1/users/user_a%5cban",
        "/v1/users/%252e%252e/me",
        "/v1/users/user_a%C0%AF",
        "/v1/users/user_a;x/..;/ban",
    ],
)
async def test_tricks_with_the_path_reach_no_user(served, path):
    response = await served.client.request("GET", f"http://service.test{path}")

    assert (response.status_code, code(response)) == (400, "bad-request")


async def test_many_are_answered_in_the_order_and_as_often_as_asked_for_and_missing_ones_are_told_once(served):
    for user in ("user_a", "user_b", "user_gone"):
        await served.deliver(created(user))
    await served.deliver(deleted("user_gone"))

    found = await ids(served, ids="user_b,user_x,user_a,user_gone,user_b,user_x")

    assert found == (["user_b", "user_a", "user_b"], ["user_x", "user_gone"])


async def test_many_may_be_asked_for_in_both_ways(served):
    await served.deliver(created("user_a"))

    assert await ids(served, ids=["user_a", "user_b"]) == (["user_a"], ["user_b"])


async def test_a_hundred_are_one_question_and_more_are_refused(served, monkeypatch):
    names = [f"user_{number}" for number in range(101)]
    asked = []

    async def get_many(_self, wanted):
        asked.append(len(wanted))
        return {}

    monkeypatch.setattr(type(served.container.user_directory()), "get_many", get_many)
    found, missing = await ids(served, ids=",".join(names[:100]))
    refused = await served.client.get("/v1/users", params={"ids": ",".join(names)})

    assert (found, missing) == ([], names[:100])
    assert asked == [100]
    assert (refused.status_code, code(refused)) == (422, "request-not-valid")


async def test_everybody_with_an_email_is_found(served):
    email = [{"id": "idn_1", "email_address": "Ada+x@Example.org", "verification": {"status": "verified"}}]
    for user in ("user_a", "user_b"):
        await served.deliver(created(user, email_addresses=email, primary_email_address_id="idn_1"))
    await served.deliver(created("user_c"))

    assert await ids(served, email="ada+x@example.org") == (["user_a", "user_b"], [])
    raw = await served.client.get("/v1/users?email=ADA+X@example.org")
    assert len(raw.json()["users"]) == 2
    assert await ids(served, email="nobody@example.org") == ([], [])


@pytest.mark.parametrize(
    "query", ["", "?ids=", "?email=", "?ids=user_a&email=a@b", "?ids=ada", "?email=ada", "?limit=5"]
)
async def test_a_question_that_is_none_is_422_and_says_what_is_wrong(served, query):
    response = await served.client.get(f"/v1/users{query}")

    assert (response.status_code, code(response)) == (422, "request-not-valid")
    assert response.json()["detail"].startswith("The query: ")


async def test_nobody_learns_what_is_wrong_with_a_question_they_may_not_ask(served):
    response = await served.client.get("/v1/users?limit=5", headers={"authorization": "Bearer ask_wrong"})

    assert response.status_code == 401


async def test_a_database_out_of_reach_is_503(served, monkeypatch):
    async def fail(*_, **__):
        raise StoreUnavailableError("down")

    monkeypatch.setattr(type(served.container.user_directory()), "get_many", fail)
    monkeypatch.setattr(type(served.users), "get", fail)
    for path in (f"/v1/users/{USER}", f"/v1/users?ids={USER}"):
        response = await served.client.get(path)

        assert (response.status_code, code(response)) == (503, "store-unavailable")
        assert response.headers["retry-after"]


async def test_head_is_get_without_the_body_and_other_methods_are_405(served):
    await served.deliver(created())
    head = await served.client.head(f"/v1/users/{USER}")
    put = await served.client.put(f"/v1/users/{USER}")
    options = await served.client.options(f"/v1/users/{USER}")
    get = await served.client.get(f"/v1/users/{USER}/ban")

    assert (head.status_code, head.content) == (200, b"")
    assert (put.status_code, set(put.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "OPTIONS"})
    assert options.status_code == 204
    assert (get.status_code, set(get.headers["allow"].split(", "))) == (405, {"POST", "OPTIONS"})


async def test_the_logs_and_metrics_know_routes_and_not_users(served):
    await served.deliver(created())
    with capture_logs() as logs:
        await served.client.get(f"/v1/users/{USER}")
        await served.client.get("/v1/users", params={"email": "ada@example.org"})
    metrics = (await served.client.get("/metrics")).text

    assert [line["route"] for line in logs] == ["/v1/users/{user_id}", "/v1/users"]
    assert USER not in str(logs) + metrics
    assert "ada@" not in str(logs) + metrics
