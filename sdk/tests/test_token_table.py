import json
from datetime import UTC, datetime

import pytest

from anomalyze_auth import JwksKeys, KeySource, PemKey, Reason, SessionVerifier, TokenRejected
from sdktest.rows import each_row
from sdktest.table import ACCEPTED, Case, cases
from sdktest.tokens import ISSUER, KID, NOW, PARTY, claims, jwk, pem, signed


def verifier(keys: KeySource, **changes) -> SessionVerifier:
    settings = {"issuer": ISSUER, "authorized_parties": [PARTY], "now": lambda: float(NOW), **changes}
    return SessionVerifier(keys, **settings)


def outcome(token: str | bytes, of: SessionVerifier) -> str:
    try:
        of.verify_now(token)
    except TokenRejected as rejected:
        return rejected.reason
    return ACCEPTED


@pytest.fixture(scope="module")
def with_pem() -> SessionVerifier:
    return verifier(PemKey(pem()))


def test_the_table_is_large_and_names_every_reason_but_the_one_for_an_audience():
    reasons = {case.expected for case in cases()} | {case.with_jwks for case in cases()}

    assert len(cases()) >= 80
    revoked = {Reason.SESSION_REVOKED, Reason.USER_DELETED, Reason.USER_BANNED}  # no token says so
    assert set(Reason) - reasons == {Reason.AUDIENCE_MISMATCH} | revoked


@each_row("case", cases, ids=lambda case: case.name)
def test_each_token_of_the_table_gets_its_verdict_with_a_pem_key(case: Case, with_pem: SessionVerifier):
    assert outcome(case.token, with_pem) == case.expected


@each_row("case", cases, ids=lambda case: case.name)
async def test_each_token_of_the_table_gets_its_verdict_with_a_key_set(case: Case, jwks_server):
    jwks_server.answer_keys(jwk(), jwk("another", kid="ins_rotated"))
    keys = JwksKeys(jwks_server.url)
    try:
        await verifier(keys).verify(case.token)
        verdict = ACCEPTED
    except TokenRejected as rejected:
        verdict = rejected.reason
    finally:
        await keys.aclose()

    assert verdict == (case.with_jwks or case.expected)


@each_row("case", lambda: [case for case in cases() if case.expected != ACCEPTED], ids=lambda case: case.name)
def test_a_rejection_says_nothing_of_the_token_and_fits_a_header(case: Case, with_pem: SessionVerifier):
    with pytest.raises(TokenRejected) as caught:
        with_pem.verify_now(case.token)

    rejected = caught.value
    assert rejected.description.isascii()
    assert rejected.description.isprintable()
    assert not set('"\\') & set(rejected.description)
    assert rejected.__context__ is None
    assert len(case.token) < 20 or case.token not in repr(vars(rejected)) + str(rejected)


@each_row("second", range(-8, 9))
def test_the_time_edges_hold_at_each_second(second: int):
    at = verifier(PemKey(pem()), now=lambda: float(NOW + second))

    assert outcome(signed(claims(exp=NOW, nbf=..., iat=...)), at) == (ACCEPTED if second < 5 else Reason.TOKEN_EXPIRED)
    assert outcome(signed(claims(exp=NOW + 99, nbf=NOW, iat=...)), at) == (
        ACCEPTED if second >= -5 else Reason.TOKEN_NOT_ACTIVE_YET
    )
    assert outcome(signed(claims(exp=NOW + 99, nbf=..., iat=NOW)), at) == (
        ACCEPTED if second >= -5 else Reason.TOKEN_ISSUED_IN_THE_FUTURE
    )


@pytest.mark.parametrize(("leeway", "expected"), [(0.0, Reason.TOKEN_EXPIRED), (0.5, ACCEPTED), (60.0, ACCEPTED)])
def test_the_leeway_can_be_chosen(leeway: float, expected: str):
    assert outcome(signed(claims(exp=NOW)), verifier(PemKey(pem()), leeway=leeway)) == expected


@each_row(
    ("aud", "expected"),
    [
        ("api", ACCEPTED),
        (["web", "api"], ACCEPTED),
        ("web", Reason.AUDIENCE_MISMATCH),
        (["web"], Reason.AUDIENCE_MISMATCH),
        ([], Reason.AUDIENCE_MISMATCH),
        (..., Reason.AUDIENCE_MISMATCH),
        (None, Reason.CLAIM_INVALID),
        ([1], Reason.CLAIM_INVALID),
        ({"api": 1}, Reason.CLAIM_INVALID),
    ],
)
def test_an_audience_is_demanded_only_when_it_is_configured(aud, expected: str):
    token = signed(claims(aud=aud))

    assert outcome(token, verifier(PemKey(pem()), audience="api")) == expected
    assert outcome(token, verifier(PemKey(pem()), audience=["api", "other"])) == expected


def test_without_authorized_parties_the_party_is_not_checked():
    anyone = verifier(PemKey(pem()), authorized_parties=())

    assert outcome(signed(claims(azp=...)), anyone) == ACCEPTED
    assert outcome(signed(claims(azp="https://elsewhere.example.com")), anyone) == ACCEPTED
    assert outcome(signed(claims(azp=7)), anyone) == Reason.CLAIM_INVALID


def test_one_origin_instead_of_a_collection_is_an_error_at_the_start():
    with pytest.raises(TypeError, match="collection of origins"):
        verifier(PemKey(pem()), authorized_parties=PARTY)


def test_bytes_are_verified_like_text(with_pem: SessionVerifier):
    assert outcome(signed().encode(), with_pem) == ACCEPTED
    assert outcome(b"\xff\xfe", with_pem) == Reason.TOKEN_MALFORMED


def test_the_longest_token_that_is_decoded_has_16384_characters(with_pem: SessionVerifier):
    assert outcome("a" * 16_384, with_pem) == Reason.TOKEN_MALFORMED
    assert outcome("a" * 16_385, with_pem) == Reason.TOKEN_TOO_LARGE


def test_a_factor_of_this_minute_has_the_age_0_and_both_ages_are_told(with_pem: SessionVerifier):
    who = with_pem.verify_now(signed(claims(fva=[0, 12])))

    assert (who.first_factor_age_minutes, who.second_factor_age_minutes) == (0, 12)


@each_row("token_id", ["oat_1", "mt_1"])
def test_the_id_of_an_oauth_or_machine_token_is_not_that_of_a_session(token_id: str, with_pem: SessionVerifier):
    assert outcome(signed(claims(jti=token_id)), with_pem) == Reason.WRONG_TOKEN_TYPE


@each_row("actor", ["sub", ["sub"], 7])
def test_an_actor_that_is_no_object_is_refused(actor, with_pem: SessionVerifier):
    assert outcome(signed(claims(act=actor)), with_pem) == Reason.CLAIM_INVALID


def test_the_identity_carries_what_the_token_says(with_pem: SessionVerifier):
    token = signed(
        claims(
            act={"sub": "user_admin"},
            fea="o:dashboard,o:teams",
            o={"id": "org_1", "slg": "acme", "rol": "admin", "per": "manage,read", "fpm": "3,2"},
            plan={"seats": 5},
        )
    )

    who = with_pem.verify_now(token)

    assert who.user_id == "user_2abcDEFghi"
    assert who.session_id == "sess_2abcDEFghi"
    assert who.issuer == ISSUER
    assert (who.issued_at, who.expires_at) == (NOW, NOW + 60)
    assert who.authorized_party == PARTY
    assert who.actor_id == "user_admin"
    assert (who.first_factor_age_minutes, who.second_factor_age_minutes) == (3, None)
    assert who.organization is not None
    assert (who.organization.id, who.organization.slug, who.organization.role) == ("org_1", "acme", "org:admin")
    assert who.organization.permissions == {"org:dashboard:manage", "org:dashboard:read", "org:teams:read"}
    assert who.has_role("org:admin")
    assert not who.has_role("admin")
    assert who.has_permission("org:teams:read")
    assert not who.has_permission("org:teams:manage")
    assert who.claims["plan"] == {"seats": 5}
    assert "seats" not in repr(who)
    assert hash(who)


@pytest.mark.parametrize("exp", [NOW + 0.5, (NOW + 60) * 1000, 10**30, 1e300])
def test_the_times_of_an_identity_can_always_be_shown(exp: float, with_pem: SessionVerifier):
    who = with_pem.verify_now(signed(claims(exp=exp, iat=-(10**30))))

    assert who.issued_at is not None
    assert datetime.fromtimestamp(who.expires_at, UTC) > datetime.fromtimestamp(who.issued_at, UTC)


def test_the_claims_cannot_be_changed_by_who_reads_them(with_pem: SessionVerifier):
    who = with_pem.verify_now(signed())

    with pytest.raises(TypeError):
        who.claims["sub"] = "user_admin"  # type: ignore[index]


@each_row(
    ("fea", "fpm", "granted"),
    [
        ("o:a,o:b", "1,3", {"org:a:x", "org:b:x", "org:b:y"}),
        ("u:z,o:a,ou:b", "3,1,2", {"org:a:x", "org:b:y"}),  # counted over all features
        ("u:z,o:a,uo:b", "1,2", {"org:a:x", "org:b:y"}),  # counted over the organization's
        ("u:z,o:a,o:b", "1", set()),
        ("o:a", "1,1", set()),
        ("o:a", "", set()),
        ("", "", set()),
        ("o:a,o:b", "x,3", {"org:b:x", "org:b:y"}),
        ("o:a", "-1", set()),
        ("o:a", "٣", set()),
        ("o:a", "9" * 400, set()),
        ("a,b", "3,3", set()),
    ],
)
def test_packed_permissions_are_read_under_both_countings_and_never_guessed(
    fea: str, fpm: str, granted: set[str], with_pem: SessionVerifier
):
    token = signed(claims(fea=fea, o={"id": "org_1", "per": "x,y", "fpm": fpm}))

    organization = with_pem.verify_now(token).organization

    assert organization is not None
    assert organization.permissions == granted


def test_a_role_in_its_long_form_is_kept_as_it_is(with_pem: SessionVerifier):
    who = with_pem.verify_now(signed(claims(o={"id": "org_1", "rol": "org:member"})))

    assert who.has_role("org:member")


async def test_verify_and_verify_now_agree(with_pem: SessionVerifier):
    token = signed(protected=json.dumps({"alg": "RS256", "kid": KID}).encode())

    assert await with_pem.verify(token) == with_pem.verify_now(token)
