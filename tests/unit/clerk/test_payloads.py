import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from adapters.clerk.payloads import deletion_of, snapshot_of
from application.errors import UnusableWebhookError
from domain.snapshot import Deletion
from domain.user import EmailAddress, Profile
from support.clerk_payloads import NOW_MS, email_payload, encoded, user_payload
from support.clerk_reading import MINIMAL, YEAR_9999_MS, read, read_json, refusal


def test_every_kept_field_is_read():
    snapshot = read(
        external_id="customer-7",
        public_metadata={"plan": "pro", "seats": [1, 2.5, None, True]},
        banned=True,
        locked=True,
        created_at=NOW_MS - 5,
        updated_at=NOW_MS - 1,
    )

    assert snapshot.profile == Profile(
        email="ada@example.org",
        email_verified=True,
        emails=(EmailAddress(id="idn_1", email="ada@example.org", verified=True, status="verified"),),
        phone="+15555550100",
        username="ada",
        first_name="Ada",
        last_name="Lovelace",
        image_url="https://img.clerk.com/xxxxxx",
        external_id="customer-7",
        public_metadata={"plan": "pro", "seats": [1, 2.5, None, True]},
        banned=True,
        locked=True,
        created_at=NOW_MS - 5,
    )
    assert (snapshot.source.updated_at, snapshot.source.timestamp) == (NOW_MS - 1, NOW_MS)


def test_a_user_with_nothing_but_an_id_and_times_is_a_user():
    snapshot = snapshot_of(encoded(MINIMAL), timestamp=None)

    assert snapshot.profile == Profile(
        email=None,
        email_verified=False,
        emails=(),
        phone=None,
        username=None,
        first_name=None,
        last_name=None,
        image_url=None,
        external_id=None,
        public_metadata={},
        banned=False,
        locked=False,
        created_at=1,
    )
    assert (snapshot.source.updated_at, snapshot.source.timestamp) == (2, 2)


def test_null_is_the_same_as_absent():
    optional = set(user_payload("user_1")) - set(MINIMAL)
    nulls = MINIMAL | dict.fromkeys(optional)

    assert snapshot_of(encoded(nulls), timestamp=5) == snapshot_of(encoded(MINIMAL), timestamp=5)


@pytest.mark.parametrize("field", ["id", "created_at", "updated_at"])
def test_a_required_field_may_be_neither_absent_nor_null(field):
    absent = {name: value for name, value in MINIMAL.items() if name != field}

    with pytest.raises(UnusableWebhookError, match=f"data: Object missing required field `{field}`"):
        snapshot_of(encoded(absent), timestamp=5)
    with pytest.raises(UnusableWebhookError, match=f"data.{field}: Expected .*, got `null`"):
        snapshot_of(encoded(MINIMAL | {field: None}), timestamp=5)


@each_row("field", ["created_at", "updated_at"])
@each_row(
    ("value", "expectation"),
    [
        (-1, "Expected `int` >= 0"),
        (1.5, "Expected `int`, got `float`"),
        (1.0, "Expected `int`, got `float`"),
        (True, "Expected `int`, got `bool`"),
        ("1790000000000", "Expected `int`, got `str`"),
        ([], "Expected `int`, got `array`"),
        (YEAR_9999_MS + 1, f"Expected `int` <= {YEAR_9999_MS}"),
        (2**53, f"Expected `int` <= {YEAR_9999_MS}"),
        (2**64, f"Expected `int` <= {YEAR_9999_MS}"),
        (10**400, f"Expected `int` <= {YEAR_9999_MS}"),
    ],
)
def test_a_time_is_an_integer_from_1970_to_9999(field, value, expectation):
    assert refusal(**{field: value}) == f"data.{field}: {expectation}"


@pytest.mark.parametrize("value", [0, YEAR_9999_MS])
def test_the_first_and_the_last_millisecond_are_times(value):
    assert read(created_at=value, updated_at=value).source.updated_at == value


@pytest.mark.parametrize("text", ["1e12", "-1e999", "1E3"])
def test_a_time_written_with_an_exponent_is_no_integer(text):
    with pytest.raises(UnusableWebhookError, match=r"data\.updated_at: Expected `int`, got `float`|out of range"):
        read_json(f'"updated_at": {text}')


@each_row("user_id", ["", "user_", "usr_1", "user_é", "user_1/../x", "user_1\n", "user_" + "x" * 200])
def test_an_id_that_is_no_clerk_user_id_is_refused(user_id):
    assert refusal(id=user_id) == "data.id: not a Clerk user id (user_…)"


@each_row("field", ["username", "first_name", "last_name", "image_url", "external_id"])
@each_row("value", [0, 1.5, False, [], {}])
def test_a_kept_text_is_text(field, value):
    assert refusal(**{field: value}).startswith(f"data.{field}: Expected `str | null`, got")


@each_row("field", ["username", "first_name", "last_name", "image_url", "external_id"])
@each_row("value", ["", " ", "Zoë 😀", "' OR 1=1 --", "a" * 10_000, "\ufffe\uffff"])
def test_a_kept_text_is_kept_as_it_was_sent(field, value):
    assert getattr(read(**{field: value}).profile, field) == value


@pytest.mark.parametrize("field", ["username", "first_name", "last_name", "image_url", "external_id"])
def test_a_text_that_postgresql_cannot_hold_is_refused(field):
    assert refusal(**{field: "a\0b"}) == f"data.{field}: holds U+0000, which cannot be stored"


@pytest.mark.parametrize("field", ["id", "email_address"])
def test_an_address_that_postgresql_cannot_hold_is_refused(field):
    entry = email_payload("idn_1", "a@example.org") | {field: "a\0b"}

    assert refusal(email_addresses=[entry]) == "data.email_addresses: holds U+0000, which cannot be stored"
    assert "U+0000" in refusal(email_addresses=[email_payload("idn_1", "a@example.org", status="\0")])


def test_a_phone_that_postgresql_cannot_hold_is_refused():
    phones = [{"id": "idn_p", "phone_number": "\0"}]

    message = refusal(phone_numbers=phones, primary_phone_number_id="idn_p")
    assert message == "data.phone_numbers: holds U+0000, which cannot be stored"


def test_a_text_that_is_not_kept_may_hold_anything():
    assert read(locale="a\0b", profile_image_url=7, birthday=[], primary_web3_wallet_id={}) == read()


@each_row("field", ["banned", "locked"])
@each_row("value", [0, 1, "true", "", []])
def test_a_flag_is_a_bool(field, value):
    assert refusal(**{field: value}).startswith(f"data.{field}: Expected `bool | null`, got")


def test_the_primary_address_is_the_entry_with_the_primary_id_not_the_first():
    profile = read(
        email_addresses=[
            email_payload("idn_a", "a@example.org"),
            email_payload("idn_b", "b@example.org", status="failed"),
        ],
        primary_email_address_id="idn_b",
    ).profile

    assert (profile.email, profile.email_verified) == ("b@example.org", False)
    assert [entry.email for entry in profile.emails] == ["a@example.org", "b@example.org"]


@pytest.mark.parametrize("primary_id", [None, "idn_gone", ""])
def test_a_primary_id_that_names_no_entry_leaves_no_primary(primary_id):
    profile = read(primary_email_address_id=primary_id, primary_phone_number_id=primary_id).profile

    assert (profile.email, profile.email_verified, profile.phone) == (None, False, None)
    assert [entry.email for entry in profile.emails] == ["ada@example.org"]


def test_of_two_entries_with_one_id_the_first_is_primary_and_both_are_kept():
    profile = read(
        email_addresses=[email_payload("idn_a", "a@example.org"), email_payload("idn_a", "b@example.org")],
        primary_email_address_id="idn_a",
    ).profile

    assert profile.email == "a@example.org"
    assert [entry.email for entry in profile.emails] == ["a@example.org", "b@example.org"]


def test_addresses_stay_in_the_order_that_clerk_sent():
    entries = [email_payload(f"idn_{n}", f"{n}@example.org") for n in (3, 1, 2)]

    assert [entry.id for entry in read(email_addresses=entries).profile.emails] == ["idn_3", "idn_1", "idn_2"]
    assert read(email_addresses=entries).source.digest != read(email_addresses=entries[::-1]).source.digest


@each_row(
    ("verification", "verified", "status"),
    [
        ({"status": "verified", "strategy": "email_code"}, True, "verified"),
        ({"status": "unverified"}, False, "unverified"),
        ({"status": "transferable", "unheard": {}}, False, "transferable"),
        ({"status": "invented_tomorrow"}, False, "invented_tomorrow"),
        ({"status": "Verified"}, False, "Verified"),
        ({"status": None}, False, None),
        ({}, False, None),
        (None, False, None),
    ],
)
def test_an_address_is_verified_when_its_status_says_so(verification, verified, status):
    entry = email_payload("idn_1", "a@example.org") | {"verification": verification}

    profile = read(email_addresses=[entry], primary_email_address_id="idn_1").profile
    assert profile.emails == (EmailAddress(id="idn_1", email="a@example.org", verified=verified, status=status),)
    assert profile.email_verified is verified


def test_an_address_without_any_verification_is_unverified():
    profile = read(email_addresses=[{"id": "idn_1", "email_address": "a@example.org"}]).profile

    assert profile.emails == (EmailAddress(id="idn_1", email="a@example.org", verified=False, status=None),)


@each_row(
    ("entries", "message"),
    [
        ({}, "data.email_addresses: Expected `array | null`, got `object`"),
        ("a@example.org", "data.email_addresses: Expected `array | null`, got `str`"),
        ([None], "data.email_addresses[0]: Expected `object`, got `null`"),
        (["a@example.org"], "data.email_addresses[0]: Expected `object`, got `str`"),
        ([{"id": "idn_1"}], "data.email_addresses[0]: Object missing required field `email_address`"),
        ([{"email_address": "a"}], "data.email_addresses[0]: Object missing required field `id`"),
        ([{"id": 1, "email_address": "a"}], "data.email_addresses[0].id: Expected `str`, got `int`"),
        ([{"id": "i", "email_address": None}], "data.email_addresses[0].email_address: Expected `str`, got `null`"),
        (
            [{"id": "i", "email_address": "a", "verification": "verified"}],
            "data.email_addresses[0].verification: Expected `object | null`, got `str`",
        ),
        (
            [{"id": "i", "email_address": "a", "verification": {"status": True}}],
            "data.email_addresses[0].verification.status: Expected `str | null`, got `bool`",
        ),
    ],
)
def test_a_list_of_addresses_is_what_clerk_documents(entries, message):
    assert refusal(email_addresses=entries) == message


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "data.phone_numbers: Expected `array | null`, got `object`"),
        ([[]], "data.phone_numbers[0]: Expected `object`, got `array`"),
        ([{"id": "i", "phone_number": 1}], "data.phone_numbers[0].phone_number: Expected `str`, got `int`"),
    ],
)
def test_a_list_of_phones_is_what_clerk_documents(entries, message):
    assert refusal(phone_numbers=entries) == message


def test_a_user_known_by_phone_alone():
    profile = read(email_addresses=[], primary_email_address_id=None, username=None).profile

    assert (profile.email, profile.emails, profile.phone, profile.username) == (None, (), "+15555550100", None)


def test_a_user_known_by_name_alone():
    profile = read(email_addresses=[], primary_email_address_id=None, phone_numbers=[]).profile

    assert (profile.email, profile.emails, profile.phone, profile.username) == (None, (), None, "ada")


def test_an_old_payload_without_image_url_has_no_image():
    user = {name: value for name, value in user_payload("user_1").items() if name != "image_url"}

    assert snapshot_of(encoded(user), timestamp=NOW_MS).profile.image_url is None


def test_a_deletion_needs_the_id_alone():
    for data in ({"id": "user_1"}, {"id": "user_1", "deleted": False, "external_id": 7, "updated_at": "x"}):
        assert deletion_of(encoded(data), timestamp=9) == Deletion(id="user_1", deleted_at=9)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["verified", "failed", None])), max_size=4),
    st.sampled_from(["a", "b", "z", None]),
)
def test_email_verified_is_never_true_without_a_verified_primary_address(entries, primary_id):
    emails = [
        {"id": entry_id, "email_address": f"{n}@example.org", "verification": {"status": status}}
        for n, (entry_id, status) in enumerate(entries)
    ]

    profile = read(email_addresses=emails, primary_email_address_id=primary_id).profile
    primary = next((entry for entry in profile.emails if entry.id == primary_id), None)
    assert profile.email == (primary and primary.email)
    assert profile.email_verified == (primary is not None and primary.status == "verified")
    assert len(profile.emails) == len(emails)
