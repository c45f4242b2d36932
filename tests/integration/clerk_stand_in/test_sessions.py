"""Sessions through the official SDK, and the tokens that are minted for them."""

import time

import pytest
from clerk_backend_api import models

from anomalyze_auth import JwksKeys, SessionVerifier
from support.web import ISSUER, PARTY


@pytest.fixture
def user_id(clerk_stand_in):
    return clerk_stand_in.instance.create(email_address=["grace@example.org"])["id"]


async def test_sessions_are_started_listed_and_revoked(sdk, user_id):
    first, second = [await sdk.sessions.create_async(request={"user_id": user_id}) for _ in range(2)]
    assert [session.id for session in await sdk.sessions.list_async(user_id=user_id)] == [second.id, first.id]

    revoked = await sdk.sessions.revoke_async(session_id=first.id)
    assert revoked.status == models.Status.REVOKED
    active = await sdk.sessions.list_async(user_id=user_id, status=models.QueryParamStatus.ACTIVE)
    assert [session.id for session in active] == [second.id]
    assert (await sdk.sessions.get_async(session_id=first.id)).status == models.Status.REVOKED


async def test_ten_sessions_are_a_page(sdk, clerk_stand_in, user_id):
    made = [clerk_stand_in.instance.sign_in(user_id)["id"] for _ in range(13)]

    pages = [await sdk.sessions.list_async(user_id=user_id, offset=offset) for offset in (0, 10)]
    assert [session.id for page in pages for session in page] == made[::-1]
    assert [len(page) for page in pages] == [10, 3]


async def test_a_session_that_is_over_cannot_be_revoked_and_gives_no_token(sdk, clerk_stand_in, user_id):
    session_id = clerk_stand_in.instance.sign_in(user_id)["id"]
    await sdk.sessions.revoke_async(session_id=session_id)

    with pytest.raises(models.ClerkErrors) as again:
        await sdk.sessions.revoke_async(session_id=session_id)
    assert [said.code for said in again.value.data.errors] == ["invalid_action_for_session"]
    with pytest.raises(models.ClerkErrors) as no_token:
        await sdk.sessions.create_token_async(session_id=session_id)
    assert no_token.value.status_code == 404


async def test_a_ban_ends_the_sessions_and_keeps_from_signing_in(sdk, clerk_stand_in, user_id):
    session_id = clerk_stand_in.instance.sign_in(user_id)["id"]
    await sdk.users.ban_async(user_id=user_id)

    assert (await sdk.sessions.get_async(session_id=session_id)).status == models.Status.REVOKED
    with pytest.raises(models.ClerkBaseError) as refused:
        await sdk.sessions.create_async(request={"user_id": user_id})
    assert (refused.value.status_code, "user_banned" in refused.value.body) == (403, True)


async def test_sessions_go_with_their_user(sdk, clerk_stand_in, user_id):
    session_id = clerk_stand_in.instance.sign_in(user_id)["id"]
    await sdk.users.delete_async(user_id=user_id)

    with pytest.raises(models.ClerkErrors) as gone:
        await sdk.sessions.get_async(session_id=session_id)
    assert gone.value.status_code == 404
    assert await sdk.sessions.list_async(user_id=user_id) == []


async def test_a_sign_in_is_a_change_of_the_user(sdk, clerk_stand_in, user_id):
    before = await sdk.users.get_async(user_id=user_id)
    await sdk.sessions.create_async(request={"user_id": user_id})

    after = await sdk.users.get_async(user_id=user_id)
    assert before.last_sign_in_at is None
    assert after.last_sign_in_at
    assert after.updated_at > before.updated_at


async def test_its_token_is_good_for_whoever_has_the_published_keys(sdk, clerk_stand_in, user_id):
    session = await sdk.sessions.create_async(request={"user_id": user_id, "active_organization_id": "org_1"})
    minted = await sdk.sessions.create_token_async(session_id=session.id)

    keys = JwksKeys(f"{clerk_stand_in.url}/.well-known/jwks.json")
    try:
        verified = await SessionVerifier(keys, issuer=ISSUER, authorized_parties=[PARTY]).verify(minted.jwt)
    finally:
        await keys.aclose()
    assert (verified.user_id, verified.session_id) == (user_id, session.id)
    assert [key.kid for key in (await sdk.jwks.get_jwks_async()).keys] == ["ins_local"]


async def test_a_session_expires(clerk_stand_in, user_id):
    instance = clerk_stand_in.instance
    session_id = instance.sign_in(user_id)["id"]
    instance.now_ms = lambda: time.time_ns() // 1_000_000 + 8 * 86_400_000

    assert instance.session(session_id)["status"] == "expired"
    assert instance.sessions(user_id=user_id, status="active") == []
