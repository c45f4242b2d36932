"""Metadata is any JSON, and what other readers cannot take is not let in."""

import json

import msgspec
import pytest
from sdktest.rows import each_row

from adapters.clerk.payloads import snapshot_of
from application.errors import UnusableWebhookError
from application.users.metadata_depth import MAX_METADATA_DEPTH
from support.clerk_reading import nested, read, read_json, refusal


@pytest.mark.parametrize("value", [[], "x", 1, True])
def test_public_metadata_is_an_object(value):
    assert refusal(public_metadata=value).startswith("data.public_metadata: Expected `object | null`, got")


def test_public_metadata_is_kept_as_it_was_sent():
    metadata = {"": None, "\0": "\0", "é": [[{"a": -0.0}]], "big": 2**70, "tiny": 5e-324, "1": 1.0, "t": True}

    kept = read(public_metadata=metadata).profile.public_metadata
    assert json.dumps(kept) == json.dumps(metadata)
    assert json.loads(msgspec.json.encode(kept)) == metadata


def test_public_metadata_may_be_nested_as_deep_as_any_reader_can_follow():
    assert read(public_metadata=nested(MAX_METADATA_DEPTH)).profile.public_metadata == nested(MAX_METADATA_DEPTH)
    assert refusal(public_metadata=nested(MAX_METADATA_DEPTH + 1)) == "data.public_metadata: nested more than 100 deep"


def test_lists_count_as_depth_as_well():
    metadata = {"a": json.loads("[" * MAX_METADATA_DEPTH + "]" * MAX_METADATA_DEPTH)}

    assert refusal(public_metadata=metadata) == "data.public_metadata: nested more than 100 deep"


def test_what_is_not_kept_may_be_nested_deeper():
    assert read(private_metadata=nested(300), unsafe_metadata=nested(300)) == read()


@each_row(
    ("text", "kept"),
    [
        ("9223372036854775808", 2**63),
        ("-123456789012345678901234567890", -123456789012345678901234567890),
        ("9" * 4300, int("9" * 4300)),
        ("1.0", 1.0),
        ("1e308", 1e308),
        ("1e-999", 0.0),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\u0000"', "\0"),
    ],
)
def test_how_the_edges_of_json_are_read_in_metadata(text, kept):
    metadata = read_json(f'"public_metadata": {{"x": {text}}}').profile.public_metadata

    assert metadata == {"x": kept}
    assert type(metadata["x"]) is type(kept)


@each_row(
    "text",
    [
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
        "9" * 4301,
        '"\\ud800"',
        '"\\udc00"',
        '"\\ud800\\ud800 and more"',
        "01",
        "'x'",
    ],
)
def test_what_no_other_json_reader_would_take_from_us_is_refused(text):
    with pytest.raises(UnusableWebhookError, match="data"):
        read_json(f'"public_metadata": {{"x": {text}}}')


def test_of_two_keys_of_one_name_the_last_counts():
    assert read_json('"public_metadata": {"x": 1, "x": 2}').profile.public_metadata == {"x": 2}
    assert read_json('"first_name": "a", "first_name": "b"').profile.first_name == "b"


def test_a_text_with_half_a_character_is_refused():
    with pytest.raises(UnusableWebhookError, match="data: JSON is malformed"):
        read_json('"first_name": "\\ud800 and more"')


def test_bytes_that_are_no_characters_are_refused():
    with pytest.raises(UnusableWebhookError, match="data: not UTF-8"):
        snapshot_of(b'{"id": "user_1", "created_at": 1, "updated_at": 2, "first_name": "\xff"}', timestamp=1)
