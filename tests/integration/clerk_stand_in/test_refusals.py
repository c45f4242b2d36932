"""What is refused, in Clerk's shape and with Clerk's codes."""

import pytest
from clerk_backend_api import Clerk, models

from devkit.fake_clerk.rate_limits import RateLimits
from support.clerk_stand_in import running_stand_in

NOW_MS = 1_795_503_190_733


def code(answer):
    (error,) = answer.json()["errors"]
    assert set(answer.json()) == {"errors", "clerk_trace_id"}
    assert error["message"] is not None
    assert error["long_message"] is not None
    return answer.status_code, error["code"], error.get("meta", {}).get("param_name")


@pytest.fixture
def user_id(clerk_stand_in):
    return clerk_stand_in.instance.create(email_address=["grace@example.org"], username="grace")["id"]


@pytest.mark.parametrize(
    ("authorization", "refusal"),
    [
        (None, "authorization_header_format_invalid"),
        ("Basic eDp5", "authorization_header_format_invalid"),
        ("Bearer", "authorization_header_format_invalid"),
        ("Bearer sk_test_wrong", "clerk_key_invalid"),
        ("Bearer sk_tést", "clerk_key_invalid"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/users", "/v1/jwks", "/stand-in/faults", "/nowhere"])
def test_without_the_secret_key_there_is_only_401(ask, authorization, refusal, path):
    headers = {"authorization": (authorization or "").encode()}

    assert code(ask("GET", path, headers=headers)) == (401, refusal, None)


def test_the_public_keys_are_public(ask):
    assert ask("GET", "/.well-known/jwks.json", headers={"authorization": ""}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/users/user_none"),
        ("PATCH", "/v1/users/user_none"),
        ("PATCH", "/v1/users/user_none/metadata"),
        ("PUT", "/v1/users/user_none/metadata"),
        ("DELETE", "/v1/users/user_none"),
        *(("POST", f"/v1/users/user_none/{action}") for action in ("ban", "unban", "lock", "unlock")),
        ("GET", "/v1/sessions/sess_none"),
        ("POST", "/v1/sessions/sess_none/revoke"),
        ("DELETE", "/v1/email_addresses/idn_none"),
        ("GET", "/v1/nowhere"),
        ("PUT", "/v1/users"),
        ("GET", "/v1/users/..%2Fsessions"),
    ],
)
def test_what_is_not_there_is_404(ask, method, path):
    assert code(ask(method, path)) == (404, "resource_not_found", None)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"{", (400, "request_body_invalid", None)),
        (b"[]", (400, "request_body_invalid", None)),
        (b"\xff", (400, "request_body_invalid", None)),
        (b'{"shoe_size": 42}', (422, "form_param_unknown", "shoe_size")),
        (b'{"id": "user_mine"}', (422, "form_param_unknown", "id")),
        (b'{"user_id": "user_mine", "self": 1}', (422, "form_param_unknown", "user_id")),
        (b'{"first_name": 42}', (422, "form_param_type_invalid", "first_name")),
        (b'{"email_address": "a@b.c"}', (422, "form_param_type_invalid", "email_address")),
        (b'{"email_address": ["nobody"]}', (422, "form_param_format_invalid", "email_address")),
        (b'{"email_address": ["GRACE@example.org"]}', (422, "form_identifier_exists", "email_address")),
        (b'{"username": "grace"}', (422, "form_identifier_exists", "username")),
        (b'{"phone_number": ["555"]}', (422, "form_param_format_invalid", "phone_number")),
        (b'{"created_at": "yesterday"}', (422, "form_param_invalid_time", "created_at")),
        (b'{"public_metadata": []}', (422, "form_param_value_invalid", "public_metadata")),
        (
            b'{"public_metadata": {"a": "%s"}}' % (b"x" * 8192),
            (422, "form_param_exceeds_allowed_size", "public_metadata"),
        ),
    ],
)
def test_a_body_that_clerk_would_not_take_changes_nothing(ask, clerk_stand_in, user_id, body, refusal):
    before = clerk_stand_in.instance.dump()

    assert code(ask("POST", "/v1/users", content=body)) == refusal
    assert clerk_stand_in.instance.dump() == before


def test_metadata_that_grow_too_large_are_left_as_they_were(ask, clerk_stand_in, user_id):
    half = {"public_metadata": {"a": "x" * 5000}}
    assert ask("PATCH", f"/v1/users/{user_id}/metadata", json=half).status_code == 200
    refused = ask("PATCH", f"/v1/users/{user_id}/metadata", json={"public_metadata": {"b": "x" * 5000}})

    assert code(refused) == (422, "form_param_exceeds_allowed_size", "public_metadata")
    assert clerk_stand_in.instance.get(user_id)["public_metadata"] == half["public_metadata"]


def test_a_primary_address_must_be_one_of_the_users(ask, user_id):
    refused = ask("PATCH", f"/v1/users/{user_id}", json={"primary_email_address_id": "idn_other"})

    assert code(refused) == (422, "form_resource_not_found", "primary_email_address_id")


def test_a_body_of_more_than_a_mebibyte_is_413(ask):
    assert ask("POST", "/v1/users", content=b" " * (1024 * 1024 + 1)).status_code == 413


async def test_one_request_too_many_is_429_until_the_window_is_over():
    now = [NOW_MS]
    with running_stand_in(limits=RateLimits(requests=3, window_s=10), now_ms=lambda: now[0]) as clerk:
        sdk = Clerk(bearer_auth=clerk.secret_key, server_url=f"{clerk.url}/v1", retry_config=None)
        async with sdk:
            for _ in range(3):
                await sdk.sessions.list_async(user_id="user_1")
            with pytest.raises(models.ClerkBaseError) as refused:
                await sdk.sessions.list_async(user_id="user_1")
            assert refused.value.status_code == 429
            assert "too_many_requests" in refused.value.body
            assert refused.value.headers["retry-after"] == "10"
            await sdk.jwks.get_jwks_async()  # without a limit

            now[0] += 10_000
            assert await sdk.sessions.list_async(user_id="user_1") == []


async def test_one_users_metadata_have_a_limit_of_their_own():
    limits = RateLimits(requests=None, changes_per_user=10)
    with running_stand_in(limits=limits, now_ms=lambda: NOW_MS) as clerk:
        a, b = (clerk.instance.create()["id"] for _ in range(2))
        sdk = Clerk(bearer_auth=clerk.secret_key, server_url=f"{clerk.url}/v1", retry_config=None)
        async with sdk:
            for number in range(10):
                await sdk.users.update_metadata_async(user_id=a, public_metadata={"n": number})
            with pytest.raises(models.ClerkBaseError) as refused:
                await sdk.users.update_metadata_async(user_id=a, public_metadata={"n": 10})
            await sdk.users.update_metadata_async(user_id=b, public_metadata={"n": 1})
            await sdk.users.ban_async(user_id=a)

    assert refused.value.status_code == 429
    assert clerk.instance.get(a)["public_metadata"] == {"n": 9}
