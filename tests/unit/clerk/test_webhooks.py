import json
import time
from pathlib import Path

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from adapters.clerk.webhooks import ClerkWebhooks
from application.errors import UnusableWebhookError
from application.users.signing_key import parse_signing_key
from devkit.fake_clerk.samples import sample_deleted_user, sample_event, sample_user
from domain.session import RevokedSession
from domain.snapshot import Deletion, Snapshot
from domain.user import EmailAddress, Profile
from support.clerk_payloads import NOW_MS, SECRET, deleted_payload, encoded, event, signed, user_payload

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "clerk"
"""From Clerk's public documentation and the dashboard's event catalogue."""

WEBHOOKS = ClerkWebhooks([parse_signing_key(SECRET)])


def read(document: object) -> Snapshot | Deletion | RevokedSession | None:
    return read_bytes(encoded(document))


def read_bytes(body: bytes, *, timestamp: int | None = None) -> Snapshot | Deletion | RevokedSession | None:
    return WEBHOOKS.read(signed(SECRET, body, timestamp=timestamp), body)


def example(name: str) -> Snapshot | Deletion | RevokedSession | None:
    return read_bytes((EXAMPLES / name).read_bytes())


@pytest.mark.parametrize("event_type", ["user.created", "user.updated"])
def test_created_and_updated_are_both_a_snapshot(event_type):
    news = read(event(event_type, user_payload("user_1")))

    assert isinstance(news, Snapshot)
    assert news.id == "user_1"


def test_deleted_is_a_deletion():
    news = read(event("user.deleted", deleted_payload("user_1")))

    assert news == Deletion(id="user_1", deleted_at=NOW_MS)


@each_row(
    "event_type",
    ["session.created", "organization.created", "user.createdAtEdge", "user.invented", "USER.CREATED", "user", ""],
)
@each_row("data", [{"id": "sess_1"}, {}, [], None, 7, "x", {"id": {"id": 1}, "updated_at": "soon"}])
def test_an_event_of_another_type_does_not_concern_us_whatever_it_holds(event_type, data):
    assert read({"type": event_type, "data": data, "timestamp": ["odd"]}) is None
    assert read({"type": event_type}) is None


@each_row(
    ("body", "message"),
    [
        (b"", "body: "),
        (b" ", "body: "),
        (b"not json", "body: JSON is malformed"),
        (b"\xef\xbb\xbf{}", "body: JSON is malformed"),
        (b"null", "body: Expected `object`, got `null`"),
        (b"[]", "body: Expected `object`, got `array`"),
        (b'"user.created"', "body: Expected `object`, got `str`"),
        (b"{}", "body: Object missing required field `type`"),
        (b'{"type": null}', "body.type: Expected `str`, got `null`"),
        (b'{"type": 1}', "body.type: Expected `str`, got `int`"),
        (b'{"type": ["user.created"]}', "body.type: Expected `str`, got `array`"),
        (b'{"type": "user.created"}', "data: Expected `object`, got `null`"),
        (b'{"type": "user.created", "data": null}', "data: Expected `object`, got `null`"),
        (b'{"type": "user.created", "data": []}', "data: Expected `object`, got `array`"),
        (b'{"type": "user.created", "data": {}}', "data: Object missing required field `id`"),
        (b'{"type": "user.deleted"}', "data: Expected `object`, got `null`"),
        (b'{"type": "user.deleted", "data": {"deleted": true}}', "data: Object missing required field `id`"),
        (b'{"type": "user.deleted", "data": {"id": null}}', "data.id: Expected `str`, got `null`"),
        (b'{"type": "user.deleted", "data": {"id": ""}}', "data.id: not a Clerk user id"),
        (b'{"type": "user.deleted", "data": {"id": "../sessions/x"}}', "data.id: not a Clerk user id"),
        (b'{"type": "user.deleted", "data": {"id": "user_1"}', "body: Input data was truncated"),
        (b'{"type": "user.deleted", "data": {"id": "user_1"}} {}', "body: JSON is malformed"),
        (b"[" * 100_000, "body: Expected `object`, got `array`"),
        (
            b'{"type":"user.created","data":{"x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}}",
            "data: Object missing required field `id`",
        ),
    ],
)
def test_a_genuine_body_that_is_not_what_clerk_documents_is_unusable(body, message):
    with pytest.raises(UnusableWebhookError) as refused:
        read_bytes(body)

    assert message in str(refused.value)


@each_row("event_type", ["user.updated", "user.deleted"])
@each_row(
    ("timestamp", "message"),
    [
        ("1790000000000", "Expected `int`, got `str`"),
        (1790000000000.5, "Expected `int`, got `float`"),
        (1790000000000.0, "Expected `int`, got `float`"),
        (True, "Expected `int`, got `bool`"),
        ([1790000000000], "Expected `int`, got `array`"),
        ({}, "Expected `int`, got `object`"),
        (-1, "Expected `int` >= 0"),
        (253_402_300_800_000, "Expected `int` <= 253402300799999"),
        (10**40, "Expected `int` <= 253402300799999"),
    ],
)
def test_a_timestamp_that_is_no_time_is_unusable(event_type, timestamp, message):
    with pytest.raises(UnusableWebhookError) as refused:
        read(event(event_type, user_payload("user_1")) | {"timestamp": timestamp})

    assert str(refused.value) == f"timestamp: {message}"


@pytest.mark.parametrize(
    ("timestamp", "milliseconds"),
    [
        (NOW_MS, NOW_MS),
        (1_716_883_200, 1_716_883_200_000),
        (0, 0),
        (99_999_999_999, 99_999_999_999_000),
        (100_000_000_000, 100_000_000_000),
        (253_402_300_799_999, 253_402_300_799_999),
    ],
)
def test_a_timestamp_in_seconds_is_made_milliseconds(timestamp, milliseconds):
    snapshot = read(event("user.updated", user_payload("user_1"), timestamp))
    deletion = read(event("user.deleted", deleted_payload("user_1"), timestamp))

    assert snapshot.source.timestamp == milliseconds
    assert deletion.deleted_at == milliseconds


def test_without_a_timestamp_a_snapshot_is_as_old_as_its_content():
    document = event("user.updated", user_payload("user_1", updated_at=NOW_MS - 7))
    absent = {name: value for name, value in document.items() if name != "timestamp"}

    assert read(document | {"timestamp": None}).source.timestamp == NOW_MS - 7
    assert read(absent).source.timestamp == NOW_MS - 7


@pytest.mark.parametrize("envelope", [{}, {"timestamp": None}])
def test_without_a_timestamp_a_deletion_happened_when_it_was_sent(envelope):
    sent_s = int(time.time()) - 100
    body = encoded({"type": "user.deleted", "data": {"id": "user_1"}} | envelope)

    assert read_bytes(body, timestamp=sent_s) == Deletion(id="user_1", deleted_at=sent_s * 1000)


def test_of_two_fields_of_one_name_the_last_counts_as_in_every_other_json_reader():
    body = (
        b'{"type": "user.created", "type": "user.deleted",'
        b' "data": {"id": "user_1", "id": "user_2"}, "timestamp": 5, "timestamp": 0}'
    )

    assert read_bytes(body) == Deletion(id="user_2", deleted_at=0)


def test_the_documented_user_created():
    news = example("user.created.docs-overview.json")

    assert news.id == "user_29w83sxmDNGwOuEthce5gg56FcC"
    assert news.profile == Profile(
        email="example@example.org",
        email_verified=True,
        emails=(
            EmailAddress(
                id="idn_29w83yL7CwVlJXylYLxcslromF1", email="example@example.org", verified=True, status="verified"
            ),
        ),
        phone=None,
        username=None,
        first_name="Example",
        last_name="Example",
        image_url="https://img.clerk.com/xxxxxx",
        external_id="567772",
        public_metadata={},
        banned=False,
        locked=False,
        created_at=1654012591514,
    )
    assert (news.source.updated_at, news.source.timestamp) == (1654012591835, 1654012591835)


def test_the_dashboards_user_created_has_seconds_and_a_primary_address_that_is_not_there():
    news = example("user.created.event-catalog.json")

    assert news.id == "user_29wBMCtzATuFJut8jO2VNTVekS4"
    assert (news.profile.email, news.profile.email_verified, news.profile.emails) == (None, False, ())
    assert (news.profile.first_name, news.profile.last_name) == ("John", "Doe")
    assert (news.source.updated_at, news.source.timestamp) == (1716883200000, 1716883200000)


def test_the_dashboards_user_updated():
    news = example("user.updated.event-catalog.json")

    assert news.id == "user_29w83sxmDNGwOuEthce5gg56FcC"
    assert (news.profile.email, news.profile.email_verified, news.profile.last_name) == (
        "example@example.org",
        True,
        None,
    )
    assert news.source.updated_at == 1654012824306


def test_the_dashboards_user_deleted():
    assert example("user.deleted.event-catalog.json") == Deletion(
        id="user_29wBMCtzATuFJut8jO2VNTVekS4", deleted_at=1661861640000
    )


def test_every_example_is_read():
    names = {path.name for path in EXAMPLES.iterdir()}

    assert len(names) == 4
    assert all(example(name) is not None for name in names)


def test_nothing_private_gets_into_a_snapshot_or_a_deletion():
    canary = {"secret": ["CANARY"]}
    user = user_payload(
        "user_1",
        private_metadata=canary,
        unsafe_metadata=canary,
        password_digest="CANARY",
        external_accounts=[canary],
        web3_wallets=[canary],
        unheard_of="CANARY",
        profile_image_url="CANARY",
    )
    user["email_addresses"][0] |= {"linked_to": [canary], "unheard_of": "CANARY"}
    user["email_addresses"][0]["verification"] |= {"nonce": "CANARY", "strategy": "CANARY"}
    user["phone_numbers"][0] |= {"backup_codes": ["CANARY"]}
    envelope = {
        "event_attributes": {"http_request": {"client_ip": "CANARY", "user_agent": "CANARY"}},
        "instance_id": "CANARY",
        "CANARY": 1,
    }

    for event_type in ("user.created", "user.updated", "user.deleted"):
        document = event(event_type, user) | envelope
        news = read(document)
        assert "CANARY" in json.dumps(document)
        assert "CANARY" not in repr(news) + repr(asdict(news))


def test_a_refusal_names_no_value_of_the_payload():
    fields = ["id", "created_at", "updated_at", "email_addresses", "public_metadata", "banned", "phone_numbers"]

    for field in fields:
        with pytest.raises(UnusableWebhookError) as refused:
            read(event("user.updated", user_payload("user_1", **{field: "CANARY"})))
        assert f"data.{field}" in str(refused.value)
        assert "CANARY" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_the_samples_are_what_a_trigger_sends():
    for event_type in ("user.created", "user.updated"):
        news = read(sample_event(event_type, sample_user("user_1", now_ms=NOW_MS), timestamp_ms=NOW_MS))
        assert news.profile.email == "ada@example.org"
        assert news.profile.phone == "+15555550100"
    assert read(sample_event("user.deleted", sample_deleted_user("user_1"), timestamp_ms=NOW_MS)) is not None


# A lone surrogate is no character; json.dumps would write it as an escape that no UTF-8 can hold.
json_text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | json_text | st.just("verified") | st.just("user_1"),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(json_text, children, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_whatever_json_is_signed_it_is_read_or_unusable_and_nothing_else(document):
    try:
        news = read(document)
    except UnusableWebhookError:
        return

    assert news is None


@given(
    st.sampled_from(["user.created", "user.updated", "user.deleted"]),
    st.dictionaries(st.sampled_from(sorted(user_payload("user_1"))), json_values, max_size=3),
    st.sampled_from([{}, {"timestamp": None}]) | st.fixed_dictionaries({"timestamp": json_values}),
)
def test_whatever_a_users_fields_hold_it_is_read_or_unusable_and_nothing_else(event_type, overrides, envelope):
    try:
        news = read(event(event_type, user_payload("user_1", **overrides)) | envelope)
    except UnusableWebhookError:
        return

    assert news.id == "user_1"
    assert isinstance(news, Deletion if event_type == "user.deleted" else Snapshot)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_text_is_signed_it_is_read_or_unusable_and_nothing_else(text):
    with pytest.raises(UnusableWebhookError):
        read_bytes(text.encode())
