import json
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anomalyze_auth import Authenticated, PemKey, SessionVerifier, TokenRejected
from anomalyze_auth.credentials import credentials_in
from sdktest.tokens import ISSUER, NOW, PARTY, claims, header, pem, signed

VERIFIER = SessionVerifier(PemKey(pem()), issuer=ISSUER, authorized_parties=[PARTY], now=lambda: float(NOW))
GOOD = signed()

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**40), max_value=10**40)
    | st.floats()
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


# A slow machine is no reason to fail.
unhurried = settings(deadline=None)


def decided(token: str | bytes) -> Authenticated | None:
    """The identity or None; any other exception fails the test."""
    try:
        return VERIFIER.verify_now(token)
    except TokenRejected:
        return None


@unhurried
@given(st.binary(max_size=300))
@example(b"")
@example(b"..")
@example(b"\x00.\x00.\x00")
def test_any_bytes_are_rejected_cleanly(token: bytes):
    assert decided(token) is None


@unhurried
@given(st.text(max_size=300))
@example("\ud800")
@example("\u0661.\u0662.\u0663")
def test_any_text_is_rejected_cleanly(token: str):
    assert decided(token) is None


@unhurried
@given(st.lists(st.text(alphabet=string.ascii_letters + string.digits + "-_=+/.", max_size=60), max_size=5))
def test_any_text_in_the_form_of_a_token_is_rejected_cleanly(parts: list[str]):
    assert decided(".".join(parts)) is None


@unhurried
@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.characters(max_codepoint=0x2FF))
def test_a_genuine_token_with_one_changed_character_is_rejected(position: int, character: str):
    changed = GOOD[:position] + character + GOOD[position + 1 :]

    assert (decided(changed) is not None) == (changed == GOOD)


@unhurried
@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_a_genuine_token_that_was_cut_off_is_rejected(length: int):
    assert decided(GOOD[:length]) is None


@unhurried
@given(st.binary(max_size=200))
def test_any_signed_payload_bytes_are_rejected_cleanly(payload: bytes):
    assert decided(signed(payload)) is None


@unhurried
@given(st.binary(max_size=200))
def test_any_signed_header_bytes_are_rejected_cleanly(protected: bytes):
    assert decided(signed(protected=protected)) is None


@unhurried
@given(st.sampled_from([*sorted(claims()), "o", "fea", "act", "aud", "org_id", "org_role"]), json_values)
def test_any_signed_claim_of_any_type_gives_an_identity_of_the_right_types_or_a_rejection(name: str, value):
    who = decided(signed(json.dumps(claims(**{name: value})).encode()))

    if who is not None:
        assert isinstance(who.user_id, str)
        assert who.user_id.startswith("user_")
        assert who.expires_at > NOW - 5
        assert who.issuer == ISSUER
        assert who.authorized_party == PARTY
        assert who.session_id.isascii()
        assert who.actor_id is None or who.actor_id.isprintable()
        json.dumps(dict(who.claims), ensure_ascii=False, allow_nan=False).encode()


@unhurried
@given(st.dictionaries(st.sampled_from(["alg", "typ", "cty", "cat", "kid", "crit", "b64", "jwk", "jku"]), json_values))
def test_any_signed_header_member_of_any_type_is_decided_cleanly(members: dict[str, object]):
    decided(signed(protected=json.dumps(header(**members)).encode()))


@unhurried
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"Authorization", b"cookie", b"x-other"]),
            st.binary(max_size=60) | st.just(f"Bearer {GOOD}".encode()) | st.just(f"__session={GOOD}".encode()),
        ),
        max_size=4,
    )
)
def test_any_headers_give_texts_or_none_and_those_are_decided_cleanly(headers: list[tuple[bytes, bytes]]):
    found = credentials_in(headers, cookie_suffix="abcdEF12")

    for token in (found.bearer, *found.cookies):
        if token is not None:
            decided(token)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_nesting_of_any_depth_is_rejected_cleanly(opening: str):
    for depth in (100, 900, 1000, 3000, 4000):
        text = f'{{"x":{opening * depth}'.encode()
        assert decided(signed(text)) is None
        assert decided(signed(protected=text)) is None
