"""Which of a request's credentials counts."""

from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from anomalyze_auth import (
    Authenticated,
    KeysUnavailable,
    OriginRefused,
    PemKey,
    Reason,
    RequestVerifier,
    SessionVerifier,
    TokenRejected,
)
from sdktest.rows import each_row
from sdktest.tokens import ISSUER, NOW, PARTY, claims, header, pem, signed

SUFFIX = "abcdEF12"
OUT_OF_REACH = "ins_outofreach"


class Counting:
    """Our key, by any kid but one, for which the keys are out of reach; it counts what is asked of it."""

    def __init__(self) -> None:
        self.asked = 0

    def ready(self, key_id: str | None) -> RSAPublicKey | None:
        self.asked += 1
        return None if key_id == OUT_OF_REACH else PemKey(pem()).ready(key_id)

    async def find(self, key_id: str | None) -> RSAPublicKey:
        raise KeysUnavailable("out of reach")


def requests(keys=None, **how) -> RequestVerifier:
    verifier = SessionVerifier(
        keys or PemKey(pem()),
        issuer=ISSUER,
        authorized_parties=[PARTY, f"chrome-extension://{'a' * 32}"],
        now=lambda: float(NOW),
    )
    return RequestVerifier(verifier, cookie_suffix=SUFFIX, **how)


@cache
def of(user: str, *, age: float | None = 0, **changes: object) -> str:
    """A token of this user, issued so many seconds ago; it expires a minute after that."""
    times = {"iat": ..., "exp": NOW + 60} if age is None else {"iat": NOW - age, "exp": NOW - age + 60}
    return signed(claims(sub=f"user_{user}", **{**times, **changes}))


STALE = of("old", age=600)
FORGED = signed(claims(sub="user_forged", iat=NOW + 5, exp=NOW + 999), key="theirs")


async def who(*headers: tuple[str, str], verifier: RequestVerifier | None = None, **how) -> str:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    try:
        caller = await (verifier or requests()).verify(raw, **how)
    except TokenRejected as rejected:
        return rejected.reason
    except OriginRefused:
        return "origin-refused"
    except KeysUnavailable:
        return "unavailable"
    assert caller is None or isinstance(caller, Authenticated)
    return "nobody" if caller is None else caller.user_id.removeprefix("user_")


@each_row(
    ("cookies", "expected"),
    [
        (["__session={a}"], "a"),
        ([f"__session_{SUFFIX}={{a}}"], "a"),
        (["theme=dark; __session={a}; x=1"], "a"),
        (["theme=dark;__session={a};x=1"], "a"),
        (["  __session  =  {a}  "], "a"),
        (["theme=dark;\t__session\t=\t{a}\t"], "a"),
        (['__session="{a}"'], "a"),
        (["theme=dark", "__session={a}"], "a"),  # HTTP/2 splits the header
        # A stale one beside it, in either place, under either name, in either header.
        (["__session={stale}; __session={a}"], "a"),
        (["__session={a}; __session={stale}"], "a"),
        ([f"__session_{SUFFIX}={{stale}}; __session={{a}}"], "a"),
        ([f"__session={{a}}; __session_{SUFFIX}={{stale}}"], "a"),
        ([f"__session={{stale}}; __session_{SUFFIX}={{a}}"], "a"),
        (["__session={stale}", f"__session_{SUFFIX}={{a}}"], "a"),
        (['__session="{stale}"; __session="{a}"'], "a"),
        ([f"__session=; __session_{SUFFIX}=; __session={{a}}"], "a"),
        (["__session=garbage; __session={a}"], "a"),
        (["__session=a.b.c; __session={a}; __session=.."], "a"),
        (["__session={forged}; __session={a}"], "a"),
        (["__session={a}; __session={forged}; __session={stale}"], "a"),
        (["__session={undated}; __session={stale}"], "undated"),
        # Both verify: the newer one, whatever the order and the name.
        (["__session={a}; __session={b}"], "b"),
        (["__session={b}; __session={a}"], "b"),
        ([f"__session={{b}}; __session_{SUFFIX}={{a}}"], "b"),
        ([f"__session={{a}}; __session_{SUFFIX}={{b}}"], "b"),
        (["__session={undated}; __session={a}"], "a"),
        ([f"__session={{a}}; __session_{SUFFIX}={{a2}}"], "a2"),  # issued at once: this instance's own
        # None verifies: the reason of the newest.
        (["__session={stale}; __session={forged}"], Reason.TOKEN_INVALID_SIGNATURE),
        (["__session=garbage"], Reason.TOKEN_MALFORMED),
        (["__session={stale}; __session=garbage"], Reason.TOKEN_EXPIRED),
        (["__session={far}; __session={stale}"], Reason.TOKEN_ISSUED_IN_THE_FUTURE),
        # None is there.
        (["__session"], "nobody"),
        (["__session="], "nobody"),
        (['__session=""'], "nobody"),
        ([";;=;"], "nobody"),
        (["__session_other123={a}"], "nobody"),
        (["__sessionx={a}; x__session={a}; __Session={a}; __session_={a}"], "nobody"),
        (["theme=dark __session={a}"], "nobody"),  # a browser lets a value hold blanks
        (["theme=__session={a}"], "nobody"),
        ([f"theme=\x0b__session={'{a}'}"], "nobody"),
    ],
)
async def test_of_several_session_cookies_the_one_that_verifies_counts(cookies: list[str], expected: str):
    tokens = {
        "a": of("a", age=9),
        "a2": of("a2", age=9),
        "b": of("b", age=3),
        "undated": of("undated", age=None),
        "stale": STALE,
        "forged": FORGED,
        "far": of("far", age=-500),
    }

    assert await who(*(("cookie", cookie.format(**tokens)) for cookie in cookies)) == expected


@each_row("iat", [True, "9999999999", 1e300, 10**40, [], {}, None, -1])
async def test_no_unproven_time_keeps_the_good_cookie_out(iat: object):
    odd = signed(claims(iat=iat, exp=NOW - 60), key="theirs")

    assert await who(("cookie", f"__session={odd}; __session={of('a')}")) == "a"
    assert await who(("cookie", f"__session={of('a')}; __session={odd}")) == "a"


async def test_a_bearer_token_is_the_only_credential_when_there_is_one():
    cookie = ("Cookie", f"__session={of('cookie')}")

    assert await who(cookie, ("Authorization", f"Bearer {of('header')}")) == "header"
    assert await who(cookie, ("Authorization", f"Bearer {STALE}")) == Reason.TOKEN_EXPIRED
    assert await who(cookie, ("Authorization", "Basic dXNlcjpwYXNz")) == "cookie"
    assert await who(cookie, ("Authorization", "Bearer ")) == "cookie"


async def test_without_credentials_it_is_nobody():
    assert await who() == await who(("origin", "https://evil.example.com")) == "nobody"


async def test_without_cookies_the_header_alone_counts():
    headers_only = requests(cookies=False)

    assert await who(("cookie", f"__session={of('a')}"), verifier=headers_only) == "nobody"
    assert await who(("authorization", f"Bearer {of('a')}"), verifier=headers_only) == "a"


def test_cookies_without_authorized_parties_are_an_error_at_the_start():
    anybody = SessionVerifier(PemKey(pem()), issuer=ISSUER)

    with pytest.raises(ValueError, match="authorized_parties"):
        RequestVerifier(anybody)
    assert RequestVerifier(anybody, cookies=False) is not None


@each_row(
    ("origins", "expected"),
    [
        ([], "a"),
        ([PARTY], "a"),
        ([f"chrome-extension://{'a' * 32}"], "a"),
        (["https://evil.example.com"], "origin-refused"),
        (["null"], "origin-refused"),
        ([""], "origin-refused"),
        ([f"{PARTY}:443"], "origin-refused"),
        ([f"{PARTY}/"], "origin-refused"),
        ([PARTY.upper()], "origin-refused"),
        ([f"{PARTY}.evil.example.com"], "origin-refused"),
        (["http://app.example.com"], "origin-refused"),
        ([f"{PARTY}, https://evil.example.com"], "origin-refused"),
        ([f"{PARTY} https://evil.example.com"], "origin-refused"),
        ([PARTY, "https://evil.example.com"], "origin-refused"),
        (["https://evil.example.com", PARTY], "origin-refused"),
        ([PARTY, PARTY], "a"),
    ],
)
@each_row("name", ["origin", "Origin"])
async def test_a_cookie_counts_for_pages_of_authorized_parties_alone(name: str, origins: list[str], expected: str):
    headers = [(name, origin) for origin in origins]

    assert await who(("cookie", f"__session={of('a')}"), *headers) == expected
    assert await who(("authorization", f"Bearer {of('a')}"), *headers) == "a"


async def test_a_cookie_that_does_not_verify_can_count_as_none_and_a_foreign_page_cannot():
    evil = ("origin", "https://evil.example.com")

    assert await who(("cookie", f"__session={STALE}"), ignore_bad_cookies=True) == "nobody"
    assert await who(("cookie", f"__session={STALE}"), evil, ignore_bad_cookies=True) == "nobody"
    assert await who(("cookie", f"__session={of('a')}"), evil, ignore_bad_cookies=True) == "origin-refused"
    assert await who(("authorization", f"Bearer {STALE}"), ignore_bad_cookies=True) == Reason.TOKEN_EXPIRED


async def test_keys_out_of_reach_are_no_verdict_unless_another_cookie_verifies():
    unknown = signed(claims(sub="user_u"), header(kid=OUT_OF_REACH))
    verifier = requests(Counting())

    assert await who(("cookie", f"__session={unknown}; __session={of('a', age=9)}"), verifier=verifier) == "a"
    assert await who(("cookie", f"__session={unknown}; __session={STALE}"), verifier=verifier) == "unavailable"
    assert await who(("cookie", f"__session={unknown}"), ignore_bad_cookies=True, verifier=verifier) == "unavailable"


async def test_however_many_cookies_there_are_few_are_verified():
    keys = Counting()
    forged = [f"{STALE[:-8]}{number:08d}" for number in range(1000)]

    assert await who(("cookie", "; ".join(f"__session={token}" for token in forged)), verifier=requests(keys)) != "a"
    assert keys.asked <= 8


async def test_the_same_cookie_many_times_is_one():
    keys = Counting()
    line = "; ".join([f"__session={STALE}"] * 1000 + [f"__session={of('a', age=9)}"])

    assert await who(("cookie", line), verifier=requests(keys)) == "a"
    assert keys.asked <= 2


@each_row(
    "line",
    [
        ";" * 60_000,
        "; ".join(f"__session=x{number}" for number in range(4_000)),
        "__session" * 6_000,
        "__session" + " " * 60_000 + "=x",
        " " * 60_000 + "__session=x",
        "; ".join(f"__sessionx{number}=x" for number in range(3_000)),
        "__session=" + '"' * 60_000,
    ],
    ids=["semicolons", "thousands", "names", "blanks-behind", "blanks-before", "others", "quotes"],
)
async def test_a_cookie_header_of_60_kb_costs_no_more_than_some_signatures(line: str):
    keys = Counting()

    assert await who(("cookie", line), verifier=requests(keys)) in ("nobody", Reason.TOKEN_MALFORMED)
    assert keys.asked <= 8
