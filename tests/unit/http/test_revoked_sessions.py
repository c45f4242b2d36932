"""A session that ended: recorded whatever the order, and refused wherever our own tables are asked."""

import json

import pytest

from devkit.fake_clerk.samples import sample_session
from support.users import USER, snapshot
from support.web import bearer, created, deleted, event, token
from support.web import web as running

AT = 1_700_000_000_000


def end(kind: str = "session.ended", session_id: str = "sess_1", user_id: str = USER, **changes: object) -> bytes:
    return event(kind, {**sample_session(session_id, user_id, now_ms=AT), **changes}, at=AT)


async def outcome(web, body: bytes) -> str:
    answer = await web.deliver(body)
    assert answer.status_code == 200, answer.text
    return answer.json()["outcome"]


async def test_the_first_news_revokes_and_all_that_follows_changes_nothing(web):
    kinds = ["session.removed", "session.removed", "session.ended", "session.revoked"]

    assert [await outcome(web, end(kind)) for kind in kinds] == ["revoked", "unchanged", "unchanged", "unchanged"]
    (message,) = web.users.sessions.outbox
    assert json.loads(message.payload)["session"] == {
        "id": "sess_1",
        "user_id": USER,
        "revoked_at": "2023-11-14T22:13:20.000Z",
    }


@pytest.mark.parametrize("path", ["/v1/me", "/v1/verify?active=true", "/v1/ext-authz/orders?active=true"])
async def test_its_tokens_are_refused_where_our_tables_are_asked_and_others_of_the_user_are_not(web, path):
    await web.deliver(created())
    before = await web.client.get(path, headers=bearer(sid="sess_1"))
    await web.deliver(end())
    after = await web.client.get(path, headers=bearer(sid="sess_1"))
    other = await web.client.get(path, headers=bearer(sid="sess_2"))

    assert (before.status_code, after.status_code, other.status_code) == (200, 401, 200)
    assert after.json()["code"] == "session-revoked"
    assert after.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert after.headers["content-type"] == "application/problem+json"


async def test_forward_auth_alone_asks_no_table(web):
    await web.deliver(created())
    await web.deliver(end())

    assert (await web.client.get("/v1/verify", headers=bearer(sid="sess_1"))).status_code == 200


async def test_a_revoked_session_of_somebody_unknown_is_refused_and_clerk_is_not_asked(web):
    web.identities.users[USER] = snapshot()
    await web.deliver(end())
    answer = await web.me(**bearer(sid="sess_1"))

    assert (answer.status_code, answer.json()["code"]) == (401, "session-revoked")
    assert web.identities.asked == []
    assert (await web.me(**bearer(sid="sess_2"))).status_code == 200


async def test_what_is_said_of_the_user_comes_before_what_is_said_of_the_session(web):
    await web.deliver(end())
    await web.deliver(created(banned=True))
    banned = await web.me(**bearer(sid="sess_1"))
    await web.deliver(deleted())
    gone = await web.me(**bearer(sid="sess_1"))

    assert (banned.status_code, banned.json()["code"]) == (403, "user-banned")
    assert (gone.status_code, gone.json()["code"]) == (401, "user-deleted")


async def test_a_client_that_has_the_profile_already_is_refused_too(web):
    await web.deliver(created())
    tag = (await web.me(**bearer(sid="sess_1"))).headers["etag"]
    await web.deliver(end())

    assert (await web.me(**bearer(sid="sess_1"), if_none_match=tag)).status_code == 401


async def test_a_revoked_session_manages_nobody():
    async with running(AUTH_SERVICE_ORGANIZATIONS="*") as web:
        organization = {"id": "org_1", "slg": "one", "rol": "admin", "per": "manage", "fpm": "1"}
        claims = {"v": 2, "o": organization, "fea": "o:users", "sid": "sess_1"}
        await web.deliver(created())
        headers = {"authorization": f"Bearer {token(**claims)}"}
        before = await web.client.get(f"/v1/users/{USER}", headers=headers)
        await web.deliver(end())
        after = await web.client.get(f"/v1/users/{USER}", headers=headers)

    assert (before.status_code, after.status_code) == (200, 401)
    assert after.json()["code"] == "session-revoked"


@pytest.mark.parametrize(("changes", "named"), [({"id": None}, "data.id"), ({"user_id": "ada"}, "data.user_id")])
async def test_a_genuine_event_that_names_no_session_is_told_by_its_field(web, changes, named):
    answer = await web.deliver(end(**changes))

    assert answer.status_code == 422
    assert named in answer.json()["detail"]
    assert web.users.sessions.rows == {}
