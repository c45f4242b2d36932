"""Webhooks, /v1/me, health and the router: what each answers to what, on the real ASGI application.

The other routes have files of their own: test_verify.py (/v1/verify and /v1/ext-authz), test_users.py and
test_user_actions.py (/v1/users), test_openapi.py (/schema), integration/observability/test_metrics.py (/metrics). What
only a real server answers, such as 408 to a body that does not come, is in integration/http.
"""

import pytest

from application.errors import (
    ClerkUnavailableError,
    StoreBusyError,
    StoreUnavailableError,
    UnstorableError,
)
from support.users import USER, snapshot
from support.web import bearer, created, deleted, event, signed, token


def code(response):
    """The problem's code; checks what every problem has."""
    document = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert document["type"] == f"urn:anomalyze:auth:problem:{document['code']}"
    assert document["status"] == response.status_code
    assert document["title"]
    assert response.headers["x-request-id"]
    return document["code"]


def failing(error):
    async def fail(*_):
        raise error

    return fail


# POST /webhooks/clerk


async def test_a_new_user_is_created(web):
    response = await web.deliver(created())

    assert (response.status_code, response.json()) == (200, {"outcome": "created"})
    assert web.users.rows[USER].version == 1


async def test_the_same_delivery_again_changes_nothing(web):
    await web.deliver(created())
    response = await web.deliver(created())

    assert (response.status_code, response.json()) == (200, {"outcome": "unchanged"})


async def test_a_newer_snapshot_updates(web):
    await web.deliver(created())
    response = await web.deliver(created(at=1_700_000_001_000, first_name="Grace"))

    assert (response.status_code, response.json()) == (200, {"outcome": "updated"})


async def test_an_older_snapshot_is_stale(web):
    await web.deliver(created(at=1_700_000_001_000, first_name="Grace"))
    response = await web.deliver(created())

    assert (response.status_code, response.json()) == (200, {"outcome": "stale"})


async def test_a_deletion_deletes_also_a_user_never_seen(web):
    response = await web.deliver(deleted())

    assert (response.status_code, response.json()) == (200, {"outcome": "deleted"})


async def test_a_second_deletion_changes_nothing(web):
    await web.deliver(deleted())
    response = await web.deliver(deleted())

    assert (response.status_code, response.json()) == (200, {"outcome": "unchanged"})


async def test_news_about_a_deleted_user_is_stale(web):
    await web.deliver(deleted())
    response = await web.deliver(created(at=1_800_000_000_000))

    assert (response.status_code, response.json()) == (200, {"outcome": "stale"})


async def test_an_event_of_another_kind_is_ignored(web):
    response = await web.deliver(event("session.created", {"id": "sess_1"}))

    assert (response.status_code, response.json()) == (200, {"outcome": "ignored"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"svix-id": "msg_1"},
        signed(b"another body"),
        signed(created(), **{"svix-timestamp": "1"}),
        signed(created(), **{"svix-timestamp": "soon"}),
        signed(created(), **{"svix-signature": ""}),
        signed(created(), **{"svix-signature": "v1,AAAA"}),
        signed(created(), **{"svix-id": "msg_2"}),
    ],
    ids=["none", "id-alone", "other-body", "expired", "not-a-time", "empty", "wrong", "other-id"],
)
async def test_a_signature_that_is_missing_malformed_expired_or_wrong_is_400(web, headers):
    response = await web.deliver(created(), headers)

    assert (response.status_code, code(response)) == (400, "webhook-not-genuine")
    assert web.users.rows == {}


async def test_a_body_over_one_mebibyte_is_413_and_ends_the_connection(web):
    response = await web.deliver(b" " * (1024 * 1024 + 1))

    assert (response.status_code, code(response)) == (413, "body-too-large")
    assert response.headers["connection"] == "close"


async def test_a_genuine_body_of_exactly_one_mebibyte_is_taken(web):
    body = created()

    response = await web.deliver(body + b" " * (1024 * 1024 - len(body)))

    assert response.json() == {"outcome": "created"}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"nonsense", event("user.created", {"id": "user_1"}), event("user.created", None)],
    ids=["empty", "list", "not-json", "without-times", "null"],
)
async def test_a_genuine_but_unusable_payload_is_422(web, body):
    response = await web.deliver(body)

    assert (response.status_code, code(response)) == (422, "webhook-not-usable")


async def test_content_that_the_database_refuses_is_422(web, monkeypatch):
    monkeypatch.setattr(type(web.users), "change", failing(UnstorableError("no")))
    response = await web.deliver(created())

    assert (response.status_code, code(response)) == (422, "not-storable")


@pytest.mark.parametrize(
    ("error", "expected"),
    [(StoreUnavailableError("no"), "store-unavailable"), (StoreBusyError("full"), "store-busy")],
)
async def test_a_database_that_cannot_take_it_is_503_with_retry_after(web, monkeypatch, error, expected):
    monkeypatch.setattr(type(web.users), "change", failing(error))
    response = await web.deliver(created())

    assert (response.status_code, code(response)) == (503, expected)
    assert int(response.headers["retry-after"]) > 0


# GET /v1/me


async def test_the_current_user_is_200_with_profile_version_and_etag(web):
    await web.deliver(created())
    response = await web.me(**bearer())

    assert response.status_code == 200
    assert response.json()["id"] == USER
    assert response.json()["version"] == 1
    assert response.headers["etag"].startswith('"1-')
    assert response.headers["cache-control"] == "private, no-cache"
    assert response.headers["content-type"] == "application/json"


async def test_the_same_content_again_is_304(web):
    await web.deliver(created())
    etag = (await web.me(**bearer())).headers["etag"]
    response = await web.me(if_none_match=etag, **bearer())

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == etag


async def test_no_token_is_401_with_a_bare_challenge(web):
    response = await web.me()

    assert (response.status_code, code(response)) == (401, "token-missing")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"sts": "pending"},
        {"iss": "https://elsewhere.example"},
        {"azp": "https://evil.example"},
        {"azp": None},
        {"user_id": "mch_machine"},
        {"user_id": "user_\r\nx: y"},
        {"user_id": 7},
    ],
)
async def test_a_bad_expired_or_pending_token_is_401_with_a_reason_and_never_the_token(web, claims):
    bad = token(**claims)
    response = await web.me(authorization=f"Bearer {bad}")

    assert (response.status_code, code(response)) == (401, "token-not-valid")
    assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="')
    assert response.json()["reason"]
    assert bad not in str(response.headers) + response.text


async def test_a_deleted_user_is_401(web):
    await web.deliver(created())
    await web.deliver(deleted())
    response = await web.me(**bearer())

    assert (response.status_code, code(response)) == (401, "user-deleted")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_banned_user_is_403(web):
    await web.deliver(created(banned=True))
    response = await web.me(**bearer())

    assert (response.status_code, code(response)) == (403, "user-banned")


async def test_a_user_that_neither_we_nor_clerk_know_is_404(web):
    response = await web.me(**bearer())

    assert (response.status_code, code(response)) == (404, "user-unknown")


async def test_a_user_whose_webhook_has_not_arrived_is_fetched_and_synced(web):
    web.identities.users[USER] = snapshot()
    response = await web.me(**bearer())

    assert (response.status_code, response.json()["version"]) == (200, 1)
    assert [message.type for message in web.users.outbox] == ["anomalyze.user.created.v1"]


async def test_a_user_that_clerk_has_but_the_database_refuses_is_404(web, monkeypatch):
    web.identities.users[USER] = snapshot()
    monkeypatch.setattr(type(web.users), "change", failing(UnstorableError("no")))
    response = await web.me(**bearer())

    assert (response.status_code, code(response)) == (404, "user-unknown")


async def test_clerk_out_of_reach_for_an_unknown_user_is_503(web, monkeypatch):
    monkeypatch.setattr(type(web.identities), "get", failing(ClerkUnavailableError("slow")))
    response = await web.me(**bearer())

    assert (response.status_code, code(response)) == (503, "identity-provider-unavailable")
    assert response.headers["retry-after"]


async def test_a_database_out_of_reach_is_503_with_retry_after(web, monkeypatch):
    monkeypatch.setattr(type(web.users), "get", failing(StoreUnavailableError("down")))
    response = await web.me(**bearer())

    assert (response.status_code, code(response)) == (503, "store-unavailable")
    assert response.headers["retry-after"]


# /health


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_health_is_200_while_the_database_answers_and_503_else(web, path):
    up = await web.client.get(path)
    web.database.up = False
    down = await web.client.get(path)

    assert (up.status_code, up.json()["checks"]["database"]) == (200, "ok")
    assert (down.status_code, code(down), down.json()["checks"]["database"]) == (503, "not-ready", "unavailable")


async def test_a_process_is_alive_whatever_the_database_does(web):
    web.database.up = False
    response = await web.client.get("/health/live")

    assert (response.status_code, response.json()["status"]) == (200, "ok")


# the router's own


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/v1/me/extra", 404, "not-found"),
        ("GET", "/schema/nothing", 404, "not-found"),
        ("POST", "/v1/ext-authzfoo", 404, "not-found"),
        ("GET", "/webhooks/clerk", 405, "method-not-allowed"),
        ("POST", "/v1/me", 405, "method-not-allowed"),
        ("PROPFIND", "/health", 405, "method-not-allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(web, method, path, status, expected):
    response = await web.client.request(method, path)

    assert (response.status_code, code(response)) == (status, expected)


async def test_a_wrong_method_is_told_the_right_ones(web):
    response = await web.client.delete("/v1/me")

    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_host_that_is_no_host_is_400(web):
    response = await web.client.get("/v1/me", headers={"host": 'a b"'})

    assert (response.status_code, code(response)) == (400, "bad-request")
