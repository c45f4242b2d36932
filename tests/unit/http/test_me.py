import base64
import hashlib

import httpx
import pytest
from attrs import evolve
from dependency_injector.providers import Object

from anomalyze_auth import KeysUnavailable
from application.users.representation import ProfileDocument, profile_document
from domain.snapshot import Snapshot
from domain.sync_user import sync_user
from entrypoints.http.routes.me import entity_tag
from support.users import USER, profile, snapshot
from support.web import PARTY, PUBLISHABLE_KEY, bearer, created, token


def test_the_documented_shape_is_the_published_one():
    user = sync_user(None, snapshot()).user

    assert list(ProfileDocument.__annotations__) == list(profile_document(user))


def test_the_tag_follows_version_and_content():
    user = sync_user(None, snapshot()).user

    assert entity_tag(user, b"a") == entity_tag(user, b"a")
    assert entity_tag(user, b"a") != entity_tag(user, b"b")
    assert entity_tag(user, b"a") != entity_tag(evolve(user, version=2), b"a")


async def test_the_tag_stays_when_only_the_place_in_clerks_time_moves(web):
    await web.deliver(created(at=1_700_000_000_000))
    before = (await web.me(**bearer())).headers["etag"]
    kept = web.users.rows[USER].profile
    same_later = Snapshot.of(USER, kept, updated_at=1_700_000_005_000, timestamp=1_700_000_005_000)
    await web.container.sync_user()(same_later)

    assert web.users.rows[USER].source.updated_at == 1_700_000_005_000
    assert (await web.me(**bearer())).headers["etag"] == before


async def test_the_tag_changes_with_the_content(web):
    await web.deliver(created())
    before = (await web.me(**bearer())).headers["etag"]
    await web.container.sync_user()(
        Snapshot.of(USER, profile(first_name="Grace"), updated_at=1_800_000_000_000, timestamp=1)
    )
    response = await web.me(if_none_match=before, **bearer())

    assert response.status_code == 200
    assert response.headers["etag"] != before


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"a,b" , W/{}', "*", ' "x",,{} ', '"",{}'])
async def test_the_condition_is_a_list_a_star_or_weak(web, form):
    await web.deliver(created())
    etag = (await web.me(**bearer())).headers["etag"]
    response = await web.me(if_none_match=form.format(etag), **bearer())

    assert response.status_code == 304
    assert response.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in response.headers["vary"]
    assert "Cookie" in response.headers["vary"]


@pytest.mark.parametrize("form", ['"other"', "", "W/", '"', "{bare}", "\xff", '"*"'])
async def test_a_condition_that_names_something_else_or_nothing_is_not_met(web, form):
    await web.deliver(created())
    etag = (await web.me(**bearer())).headers["etag"]
    condition = form.replace("{bare}", etag.strip('"')).encode("latin-1")
    headers = httpx.Headers([(b"if-none-match", condition), *((k.encode(), v.encode()) for k, v in bearer().items())])
    response = await web.client.get("/v1/me", headers=headers)

    assert response.status_code == 200


async def test_the_condition_is_not_looked_at_for_somebody_else(web):
    response = await web.me(if_none_match="*")

    assert response.status_code == 401


async def test_the_session_cookie_is_as_good_as_the_header(web):
    await web.deliver(created())
    suffix = base64.urlsafe_b64encode(hashlib.sha1(PUBLISHABLE_KEY.encode()).digest()).decode()[:8]

    for cookie in (f"__session={token()}", f"other=1; __session_{suffix}={token()}; __session=stale"):
        assert (await web.me(cookie=cookie)).status_code == 200


async def test_the_header_goes_before_the_cookie(web):
    await web.deliver(created())
    response = await web.me(authorization="Bearer nonsense", cookie=f"__session={token()}")

    assert response.status_code == 401


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic dTpw"}, {"authorization": ""}, {"cookie": "a=b"}])
async def test_without_a_token_nothing_is_verified_and_nothing_is_read(web, headers):
    class Untouchable:
        def ready(self, _key_id):
            raise AssertionError("asked")

    web.container.session_keys.override(Object(Untouchable()))
    response = await web.me(**headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert web.identities.asked == []


async def test_keys_out_of_reach_is_503_and_no_verdict(web):
    class Away:
        def ready(self, _key_id):
            return None

        async def find(self, _key_id):
            raise KeysUnavailable("https://clerk.example.com is down")

    web.container.session_keys.override(Object(Away()))
    response = await web.me(**bearer())

    assert response.status_code == 503
    assert response.json()["code"] == "keys-unavailable"
    assert response.headers["retry-after"]
    assert "www-authenticate" not in response.headers
    assert "clerk.example.com" not in response.text


async def test_a_user_we_have_costs_clerk_nothing(web):
    await web.deliver(created())
    await web.me(**bearer(azp=PARTY))

    assert web.identities.asked == []
