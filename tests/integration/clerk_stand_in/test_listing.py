"""Lists of users through the official SDK: pages, orders, filters, and their limits."""

import pytest
from clerk_backend_api import models

# The SDK reads a field of its own request that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED:DeprecationWarning")

START = 1_700_000_000_000


async def listed(sdk, **request):
    return await sdk.users.list_async(request=request)


async def ids(sdk, **request):
    return [user.id for user in await listed(sdk, **request)]


@pytest.fixture
def seeded(clerk_stand_in):
    """Users a second apart, oldest first."""
    return clerk_stand_in.instance.seed(1200, created_from=START)


async def test_the_ten_newest_come_first_when_nothing_is_said(sdk, seeded):
    assert await ids(sdk) == seeded[:-11:-1]


async def test_all_pages_together_are_all_users_once_in_order(sdk, seeded):
    found = []
    while page := await ids(sdk, order_by="+created_at", limit=500, offset=len(found)):
        found += page

    assert found == seeded


@pytest.mark.parametrize(("limit", "found"), [(1, 1), (500, 500), (501, 10), (100_000, 10)])
async def test_a_page_larger_than_500_is_one_of_ten(sdk, seeded, limit, found):
    assert len(await listed(sdk, limit=limit)) == found


async def test_a_page_beyond_the_end_is_empty(sdk, seeded):
    assert await listed(sdk, limit=500, offset=1200) == []


async def test_times_of_creation_are_exclusive_bounds(sdk, seeded):
    after, before = START + 10_000, START + 14_000

    found = await ids(sdk, order_by="created_at", created_at_after=after, created_at_before=before)
    assert found == seeded[11:14]
    assert (await sdk.users.count_async(request={"created_at_after": after})).total_count == 1189
    descending = await ids(sdk, order_by="-created_at", created_at_after=after, created_at_before=before, limit=2)
    assert descending == [seeded[13], seeded[12]]


async def test_users_of_one_millisecond_have_an_order_too(sdk, clerk_stand_in):
    together = clerk_stand_in.instance.seed(30, created_from=START, step_ms=0)

    upwards = [await ids(sdk, order_by="+created_at", offset=offset, limit=10) for offset in (0, 10, 20)]
    downwards = await ids(sdk, order_by="-created_at", limit=30)
    assert sorted(together) == [user_id for page in upwards for user_id in page] == downwards[::-1]


async def test_the_last_change_comes_first(sdk, clerk_stand_in, seeded):
    clerk_stand_in.instance.update(seeded[5], first_name="New")
    clerk_stand_in.instance.set_banned(seeded[7], banned=True)

    assert await ids(sdk, order_by="-updated_at", limit=2) == [seeded[7], seeded[5]]


@pytest.mark.parametrize("order", ["email_address", "first_name", "last_name", "username", "phone_number"])
async def test_orders_by_text_work_in_both_directions(sdk, clerk_stand_in, order):
    for name, phone in (("b", "+15555550102"), ("a", "+15555550101"), ("c", "+15555550103")):
        clerk_stand_in.instance.create(
            f"user_{name}",
            email_address=[f"{name}@example.org"],
            phone_number=[phone],
            **dict.fromkeys(("first_name", "last_name", "username"), name),
        )

    assert await ids(sdk, order_by=f"+{order}") == ["user_a", "user_b", "user_c"]
    assert await ids(sdk, order_by=f"-{order}") == ["user_c", "user_b", "user_a"]


async def test_filters_find_who_was_meant(sdk, clerk_stand_in):
    instance = clerk_stand_in.instance
    instance.create("user_a", email_address=["Ada@example.org"], first_name="Ada", external_id="x1", username="lace")
    instance.create("user_b", email_address=["bob@example.org"], last_name="Adams", phone_number=["+15555550101"])
    instance.create("user_c", banned=True)

    assert await ids(sdk, email_address=["ada@example.org", "nobody@example.org"]) == ["user_a"]
    assert await ids(sdk, user_id=["user_b", "user_z"]) == ["user_b"]
    assert sorted(await ids(sdk, user_id=["-user_b"])) == ["user_a", "user_c"]
    assert await ids(sdk, phone_number=["+15555550101"]) == ["user_b"]
    assert await ids(sdk, external_id=["x1"]) == await ids(sdk, username=["lace"]) == ["user_a"]
    assert sorted(await ids(sdk, query="ada")) == ["user_a", "user_b"]
    assert sorted(await ids(sdk, email_address_query="EXAMPLE")) == ["user_a", "user_b"]
    assert await ids(sdk, name_query="adam") == ["user_b"]
    assert await ids(sdk, banned=True) == ["user_c"]
    assert sorted(await ids(sdk, banned=False)) == ["user_a", "user_b"]
    assert (await sdk.users.count_async(request={"banned": True})).total_count == 1


async def test_activity_is_a_filter(sdk, clerk_stand_in):
    instance = clerk_stand_in.instance
    active, idle = instance.create(), instance.create()
    instance.sign_in(active["id"])

    assert await ids(sdk, last_active_at_after=START) == [active["id"]]
    assert await ids(sdk, last_sign_in_at_after=START) == [active["id"]]
    assert idle["last_active_at"] is None


async def test_the_count_is_of_all(sdk, seeded):
    assert (await sdk.users.count_async(request={})).total_count == 1200


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"order_by": "shoe_size"}, "form_param_value_invalid"),
        ({"limit": 0}, "form_param_value_invalid"),
        ({"offset": -1}, "form_param_value_invalid"),
        ({"user_id": [f"user_{number}" for number in range(101)]}, "form_param_array_size_exceeded"),
        ({"email_address": [f"{number}@example.org" for number in range(101)]}, "form_param_array_size_exceeded"),
    ],
)
async def test_nonsense_is_refused_with_the_parameter(sdk, request_, code):
    with pytest.raises(models.ClerkErrors) as error:
        await listed(sdk, **request_)

    assert error.value.status_code == 422
    assert [(said.code, said.meta) for said in error.value.data.errors] == [
        (code, {"param_name": next(iter(request_))})
    ]


async def test_brackets_and_a_bare_plus_are_read_as_other_clients_write_them(clerk_stand_in, ask):
    a, b = (clerk_stand_in.instance.create(f"user_{name}")["id"] for name in "ab")

    assert [
        user["id"] for user in ask("GET", f"/v1/users?user_id[]={a}&user_id[]={b}&order_by=+created_at").json()
    ] == [
        a,
        b,
    ]
