import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from domain.sync_user import sync_user
from domain.user import InvalidUserIdError, parse_user_id
from support.users import snapshot


@pytest.mark.parametrize("text", ["user_29w83sxmDNGwOuEthce5gg56FcC", "user_1", "user_" + "a" * 123])
def test_a_clerk_user_id_is_taken_as_it_is(text):
    assert parse_user_id(text) == text


@each_row(
    "text",
    [
        *("", "user_", "org_1", "User_1", " user_1", "user_1\n", "user_ä", "user_../sessions", "user_1/x", "user_1\0"),
        *("user_" + "a" * 124, None, 1, True, ["user_1"], b"user_1"),
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(InvalidUserIdError, match=r"^not a Clerk user id \(user_…\)$"):
        parse_user_id(text)


@given(st.text())
def test_whatever_passes_is_safe_in_a_url_a_header_and_a_key(text):
    try:
        safe = parse_user_id(text)
    except InvalidUserIdError:
        return
    assert safe.isascii()
    assert not set(safe) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_a_user_does_not_show_personal_data_when_it_is_printed():
    user = sync_user(None, snapshot()).user

    assert "Ada" not in repr(user)
    assert "example.org" not in repr(user)
