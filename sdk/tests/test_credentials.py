from anomalyze_auth import bearer_token
from anomalyze_auth.credentials import credentials_in
from sdktest.rows import each_row


@each_row(
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
    assert bearer_token([(b"authorization", value)]) == expected


def test_two_bearer_headers_make_no_token_that_could_be_accepted():
    both = bearer_token([(b"authorization", b"Bearer a.b.c"), (b"Authorization", b"Bearer a.b.c")])

    assert both == "a.b.c, a.b.c"


def test_without_headers_there_is_no_token():
    assert bearer_token([]) is None
    assert bearer_token([(b"cookie", b"__session=x")]) is None


def test_a_suffixed_cookie_is_not_read_without_knowing_the_suffix():
    headers = [(b"cookie", b"__session_abcdEF12=x")]

    assert credentials_in(headers).cookies == ()
    assert credentials_in(headers, cookie_suffix="abcdEF12").cookies == ("x",)
