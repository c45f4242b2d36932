"""Users through the official SDK: what it sends is understood, and what it gets fits its models."""

import pytest
from clerk_backend_api import models

from devkit.fake_clerk.users import OMITTED

GRACE = {"email_address": ["grace@example.org"], "first_name": "Grace", "phone_number": ["+15555550101"]}


@pytest.fixture
def grace(clerk_stand_in):
    return clerk_stand_in.instance.create(**GRACE)


async def test_a_user_is_created_and_read(sdk, clerk_stand_in):
    made = await sdk.users.create_async(
        **{**GRACE, "username": "grace", "external_id": "g1", "public_metadata": {"plan": "pro"}}
    )
    read = await sdk.users.get_async(user_id=made.id)

    assert read == made
    assert (read.first_name, read.username, read.external_id) == ("Grace", "grace", "g1")
    assert [entry.email_address for entry in read.email_addresses] == ["grace@example.org"]
    assert read.primary_email_address_id == read.email_addresses[0].id
    assert read.email_addresses[0].verification.status == "verified"
    assert read.public_metadata == {"plan": "pro"}


async def test_a_user_is_updated_and_its_time_moves(sdk, grace):
    changed = await sdk.users.update_async(user_id=grace["id"], first_name="Amazing", username="amazing")

    assert (changed.first_name, changed.username) == ("Amazing", "amazing")
    assert changed.updated_at > grace["updated_at"]
    assert changed.created_at == grace["created_at"]


async def test_metadata_are_merged_deeply_and_null_takes_a_key_away(sdk, grace):
    user_id = grace["id"]
    await sdk.users.update_metadata_async(user_id=user_id, public_metadata={"a": {"b": 1, "c": 2}, "d": 3})
    merged = await sdk.users.update_metadata_async(user_id=user_id, public_metadata={"a": {"b": None, "e": 4}})

    assert merged.public_metadata == {"a": {"c": 2, "e": 4}, "d": 3}


async def test_metadata_are_replaced(sdk, grace):
    user_id = grace["id"]
    await sdk.users.update_metadata_async(user_id=user_id, public_metadata={"a": 1}, private_metadata={"p": 1})
    replaced = await sdk.users.replace_metadata_async(user_id=user_id, public_metadata={"b": 2})

    assert (replaced.public_metadata, replaced.private_metadata) == ({"b": 2}, {"p": 1})


async def test_a_ban_and_a_lock_are_set_and_lifted(sdk, grace):
    user_id = grace["id"]

    assert (await sdk.users.ban_async(user_id=user_id)).banned is True
    assert (await sdk.users.lock_async(user_id=user_id)).locked is True
    assert (await sdk.users.unlock_async(user_id=user_id)).locked is False
    assert (await sdk.users.unban_async(user_id=user_id)).banned is False
    assert [user.banned for user in await sdk.users.bulk_ban_async(user_ids=[user_id])] == [True]
    assert [user.banned for user in await sdk.users.bulk_unban_async(user_ids=[user_id])] == [False]


async def test_a_deleted_user_is_gone(sdk, clerk_stand_in, grace):
    gone = await sdk.users.delete_async(user_id=grace["id"])

    assert (gone.id, gone.deleted, gone.object) == (grace["id"], True, "user")
    with pytest.raises(models.ClerkErrors) as error:
        await sdk.users.get_async(user_id=grace["id"])
    assert error.value.status_code == 404
    (said,) = error.value.data.errors
    assert (said.code, said.long_message) == ("resource_not_found", f"No user was found with id {grace['id']}")
    assert len(clerk_stand_in.instance) == 0


async def test_an_address_comes_and_goes(sdk, grace):
    added = await sdk.email_addresses.create_async(
        request={"user_id": grace["id"], "email_address": "g2@example.org", "verified": True, "primary": True}
    )
    assert (await sdk.users.get_async(user_id=grace["id"])).primary_email_address_id == added.id

    await sdk.email_addresses.delete_async(email_address_id=added.id)
    left = await sdk.users.get_async(user_id=grace["id"])
    assert [entry.email_address for entry in left.email_addresses] == ["grace@example.org"]
    assert left.primary_email_address_id == left.email_addresses[0].id


@pytest.mark.parametrize(
    "shape",
    [
        {"public_metadata": None},
        {"passkeys": OMITTED},
        {"email_addresses": None, "phone_numbers": "none"},
        {"email_addresses": [{"email_address": 7}, 8]},
        {"updated_at": OMITTED},
    ],
)
async def test_any_shape_can_be_set_shown_told_and_changed_again(clerk_stand_in, ask, grace, shape):
    user_id = grace["id"]
    clerk_stand_in.instance.set_fields(user_id, **shape)
    shown = ask("GET", f"/v1/users/{user_id}").json()

    for name, value in shape.items():
        assert (name in shown) is (value is not OMITTED or name == "updated_at")
        assert value is OMITTED or shown[name] == value
    assert [user["id"] for user in ask("GET", "/v1/users?order_by=email_address&query=ace").json()] == [user_id]
    assert clerk_stand_in.instance.set_banned(user_id, banned=True)["banned"] is True
