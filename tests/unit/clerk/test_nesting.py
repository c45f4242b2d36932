"""However deep somebody nests what they may write themselves, only they can be affected, and only by what is kept."""

import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from adapters.clerk import nesting
from adapters.clerk.nesting import decoded
from adapters.clerk.payloads import snapshot_of
from application.errors import UnusableWebhookError
from support.asking_clerk import provider
from support.clerk_payloads import encoded, user_payload
from support.clerk_reading import read

DEPTHS = (300, 1_000, 10_000, 200_000)
SHAPES = {"lists": ("[", "", "]"), "objects": ('{"a":', "1", "}"), "both": ('[{"]}":', "1", "}]")}


class Shape(msgspec.Struct):
    id: str


def deep(depth: int, shape: str = "objects") -> bytes:
    begin, middle, end = SHAPES[shape]
    return (begin * depth + middle + end * depth).encode()


def with_fields(user_id: str = "user_1", **fields: bytes) -> bytes:
    """A user whose fields are JSON texts, before and behind all others."""
    user = encoded(user_payload(user_id))
    more = b", ".join(b'"%s": %s' % (name.encode(), value) for name, value in fields.items())
    return b"{" + more + b", " + user.strip()[1:-1] + b", " + more + b"}"


@each_row("shape", SHAPES)
@each_row("depth", DEPTHS)
@each_row("name", ["unsafe_metadata", "private_metadata", "a_field_of_tomorrow"])
def test_what_is_not_kept_may_be_nested_as_deep_as_it_likes(name, depth, shape):
    assert snapshot_of(with_fields(**{name: deep(depth, shape)}), timestamp=1) == snapshot_of(
        encoded(user_payload("user_1")), timestamp=1
    )
    assert read().id == "user_1"


@pytest.mark.parametrize("depth", [101, *DEPTHS])
def test_what_is_kept_is_refused_by_its_depth_and_not_by_the_stack(depth):
    with pytest.raises(UnusableWebhookError, match="public_metadata: nested more than 100 deep"):
        snapshot_of(with_fields(public_metadata=deep(depth)), timestamp=1)


@pytest.mark.parametrize("depth", DEPTHS)
async def test_in_a_page_of_clerks_users_a_deep_one_takes_nothing_from_its_neighbours(api, monkeypatch, depth):
    page = b"[%s]" % b", ".join(
        [
            with_fields("user_1", unsafe_metadata=deep(depth)),
            with_fields("user_2", public_metadata=deep(depth)),
            with_fields("user_3", private_metadata=b"{}"),
        ]
    )

    async def ask(*_: object, **__: object) -> object:
        from adapters.clerk.response_capture import ClerkResponse  # noqa: PLC0415

        return ClerkResponse(status=200, body=page, unclear=False)

    monkeypatch.setattr(api, "ask", ask)
    listed = await provider(api).page(created_from=0, offset=0, limit=10)

    assert [type(one).__name__ for one in listed] == ["Snapshot", "Unreadable", "Snapshot"]


@pytest.mark.parametrize("text", [b'{"id": "a", "x": ' + deep(5_000)[:-1], b'{"id": "a", "x": ' + b"[" * 5_000])
def test_what_ends_too_early_is_still_not_json(text):
    with pytest.raises(msgspec.DecodeError):
        decoded(text, Shape)


def test_a_string_of_quotes_and_brackets_is_no_nesting():
    text = json.dumps({"id": '["\\[{' * 1000, "x": json.loads(deep(900, "lists"))}).encode()

    assert decoded(text.replace(b'"x": ', b'"x": ' + b"[" * 2000).replace(b"}", b"]" * 2000 + b"}"), Shape)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_is_shallow_is_left_as_it_is(value):
    text = json.dumps(value).encode()

    assert nesting._shallow(text) == text


def test_the_depths_tried_are_beyond_the_stack_of_this_interpreter():
    assert max(DEPTHS) > sys.getrecursionlimit()
