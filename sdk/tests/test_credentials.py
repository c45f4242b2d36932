import pytest

from anomalyze_auth import token_from

SUFFIX = "abcdEF12"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Bearer a.b.c", "a.b.c"),
        (b"bearer a.b.c", "a.b.c"),
        (b"BEARER a.b.c", "a.b.c"),
        (b"  Bearer   a.b.c \t ", "a.b.c"),
        (b"Bearer\ta.b.c", None),
        (b"Bearer \t a.b.c", None),
        (b"Bearer a.b.c d.e.f", "a.b.c d.e.f"),  # no verifier accepts this
        (b"Bearer a\xff", "aÿ"),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Bearera.b.c", None),
        (b"Basic dXNlcjpwYXNz", None),
        (b"Token a.b.c", None),
        (b"a.b.c", None),
        (b"", None),
    ],
)
def test_the_bearer_token_of_a_header(value: bytes, expected: str | None):
    assert token_from([(b"authorization", value)]) == expected


def test_the_header_comes_before_the_cookies_and_another_scheme_does_not_count():
    cookie = (b"cookie", b"__session=cookie")

    assert token_from([cookie, (b"authorization", b"Bearer header")]) == "header"
    assert token_from([cookie, (b"authorization", b"Basic x")]) == "cookie"
    assert token_from([cookie, (b"authorization", b"Bearer ")]) == "cookie"


def test_two_bearer_headers_make_no_token_that_could_be_accepted():
    both = token_from([(b"authorization", b"Bearer a.b.c"), (b"Authorization", b"Bearer a.b.c")])

    assert both == "a.b.c, a.b.c"


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ([b"__session=plain"], "plain"),
        ([b"a=1; __session=plain; b=2"], "plain"),
        ([b"a=1;__session=plain"], "plain"),
        ([b'__session="plain"'], "plain"),
        ([b"a=1", b"__session=plain"], "plain"),  # HTTP/2 splits the header
        ([b"__session=first; __session=second"], "first"),
        ([b"__session_abcdEF12=suffixed"], "suffixed"),
        ([b"__session=plain; __session_abcdEF12=suffixed"], "suffixed"),
        ([b"__session=plain; __session_abcdEF12="], "plain"),
        ([b"__session_other123=foreign"], None),
        ([b"__sessionx=1; x__session=2; __Session=3"], None),
        ([b"__session"], None),
        ([b"__session="], None),
        ([b";;=;"], None),
    ],
)
def test_the_token_of_the_cookies(cookies: list[bytes], expected: str | None):
    assert token_from([(b"cookie", value) for value in cookies], cookie_suffix=SUFFIX) == expected


def test_a_suffixed_cookie_is_not_read_without_knowing_the_suffix():
    assert token_from([(b"cookie", b"__session_abcdEF12=x")], cookie_suffix=None) is None


def test_cookies_can_be_left_out():
    assert token_from([(b"cookie", b"__session=x")], cookies=False) is None


def test_without_headers_there_is_no_token():
    assert token_from([]) is None
