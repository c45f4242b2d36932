import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdktest.rows import each_row

from entrypoints.http.problems import REQUEST_NOT_VALID, HttpError
from entrypoints.http.users.requests import ByEmail, ByIds, metadata_patch, named_user, nothing, wanted_users
from support.refusals import refused


@pytest.mark.parametrize(
    "query", ["ids=user_b,user_a,user_b", "ids=user_b&ids=user_a,user_b", "ids=user_b%2Cuser_a&ids=user%5Fb&"]
)
def test_ids_are_a_list_or_repeated_and_keep_their_order(query):
    assert wanted_users(query.encode()) == ByIds(("user_b", "user_a", "user_b"))


@pytest.mark.parametrize(
    "query", ["email=ada+x@example.org", "email=ada%2Bx%40example.org", "&email=ada+x@example.org"]
)
def test_a_plus_in_an_email_is_a_plus(query):
    assert wanted_users(query.encode()) == ByEmail("ada+x@example.org")


@pytest.mark.parametrize("email", ["ädä@exämple.org", "Ada@Example.ORG", "a@b"])
def test_an_email_is_taken_as_it_is_written(email):
    assert wanted_users(b"email=" + email.encode().hex(" ").replace(" ", "%").join(["%", ""]).encode()) == ByEmail(
        email
    )


@each_row(
    "query",
    [
        "",
        "&",
        "ids=",
        "ids=user_a,",
        "ids=,user_a",
        "ids",
        "ids=USER_a",
        "ids=user_a;user_b",
        "ids=user_a%00",
        "ids=user_a%0d%0a",
        "ids=user_../x",
        "ids=" + ",".join(["user_a"] * 101),
        "ids=user_a&email=a@b",
        "IDS=user_a",
        "email=",
        "email=ada",
        "email=a@b&email=c@d",
        "email=a@b%00",
        "email=a@b%ff",
        "email=%ED%A0%80@b",
        "email=a%0a@b",
        "email=" + "a" * 320 + "@b",
        "ids=user_a&limit=1",
        "email=a@b&banned=true",
        "id=user_a",
        "ids[]=user_a",
    ],
)
def test_what_is_not_exactly_ids_or_one_email_is_refused(query):
    with refused(REQUEST_NOT_VALID):
        wanted_users(query.encode())


def test_a_hundred_ids_are_taken():
    assert len(wanted_users(b"ids=" + b",".join([b"user_a"] * 100)).ids) == 100


@given(st.binary(max_size=200))
def test_whatever_the_query_it_is_read_or_refused(query):
    try:
        wanted = wanted_users(query)
    except HttpError as error:
        wanted = error.problem

    assert isinstance(wanted, (ByIds, ByEmail)) or wanted is REQUEST_NOT_VALID


@each_row("text", ["", "user_", "ada", "user_a b", "user_a/..", "user_" + "a" * 124, "üser_a", "user_a\n"])
def test_a_path_that_names_no_user_is_refused(text):
    with refused(REQUEST_NOT_VALID):
        named_user(text)


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b" { } "])
def test_nothing_may_be_written_as_an_empty_object(body):
    nothing(body)


@each_row("body", [b"[]", b"null", b"x", b'{"reason": "spam"}', b"\xff", b"{", b"0"])
def test_what_would_be_ignored_is_refused(body):
    with refused(REQUEST_NOT_VALID):
        nothing(body)


def test_a_patch_is_an_object_of_anything():
    patch = {"plan": "pro", "old": None, "deep": {"list": [1, 2.5, True, {}]}, "ünï": "\x00"}

    assert metadata_patch(json.dumps({"public_metadata": patch}).encode()) == patch


DEEP = '{"public_metadata": ' + '{"a": ' * 101 + "1" + "}" * 102


@each_row(
    "body",
    [
        "",
        "{}",
        '{"plan": "pro"}',
        '{"public_metadata": null}',
        '{"public_metadata": []}',
        '{"public_metadata": "{}"}',
        '{"public_metadata": {}, "private_metadata": {}}',
        "[]",
        '{"public_metadata": {"a": NaN}}',
        DEEP,
        '{"public_metadata": {"a": 1e999}}',
        '{"public_metadata": {"a": "\\ud800"}}',
        '{"public_metadata": {}',
        "[" * 100000,
    ],
)
def test_a_body_that_is_no_patch_is_refused(body):
    with refused(REQUEST_NOT_VALID):
        metadata_patch(body.encode())


def test_what_is_refused_is_never_repeated():
    for read, text in (
        (wanted_users, b"ids=user_%20hunter2"),
        (wanted_users, b"hunter2=1"),
        (wanted_users, b"email=hunter2"),
        (metadata_patch, b'{"hunter2": {}}'),
        (named_user, "hunter2"),
    ):
        with refused(REQUEST_NOT_VALID) as caught:
            read(text)

        assert "hunter2" not in str(caught.value)
