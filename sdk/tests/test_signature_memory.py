"""A right signature is checked once; that must not let anything in that a second check would refuse."""

import asyncio
from collections.abc import Callable

import jwt.algorithms
import pytest

from anomalyze_auth import JwksKeys, PemKey, Reason, SessionVerifier, TokenRejected
from anomalyze_auth._proofs import REMEMBERED, Proof, Proofs, digest_of
from anomalyze_auth._token import opened
from sdktest.rows import each_row
from sdktest.table import Case, cases
from sdktest.tokens import ISSUER, NOW, PARTY, claims, jwk, pem, private_key, signed
from sdktest.verdicts import settled, verdict


@pytest.fixture
def checks(monkeypatch) -> list[bytes]:
    """The signatures that were really checked, in order."""
    checked: list[bytes] = []
    verify = jwt.algorithms.RSAAlgorithm.verify

    def counted(self, message, key, signature):
        checked.append(signature)
        return verify(self, message, key, signature)

    monkeypatch.setattr(jwt.algorithms.RSAAlgorithm, "verify", counted)
    return checked


def verifier(now: Callable[[], float] = lambda: float(NOW)) -> SessionVerifier:
    return SessionVerifier(PemKey(pem()), issuer=ISSUER, authorized_parties=[PARTY], now=now)


def test_a_right_signature_is_checked_once_and_a_wrong_one_each_time(checks):
    ours, of_another = signed(), signed(key="another")
    verifies = verifier()

    for _ in range(3):
        verifies.verify_now(ours)
        with pytest.raises(TokenRejected):
            verifies.verify_now(of_another)

    assert checks.count(opened(ours).signature) == 1
    assert checks.count(opened(of_another).signature) == 3


def test_a_token_that_was_right_expires_all_the_same():
    moment = float(NOW)
    verifies = verifier(lambda: moment)
    token = signed(claims())
    verifies.verify_now(token)

    moment += 3600

    with pytest.raises(TokenRejected) as caught:
        verifies.verify_now(token)
    assert caught.value.reason == Reason.TOKEN_EXPIRED


async def test_a_key_that_was_rotated_away_takes_what_it_proved_with_it(jwks_server):
    jwks_server.answer_keys(jwk())
    keys = JwksKeys(jwks_server.url)
    verifies = SessionVerifier(keys, issuer=ISSUER, now=lambda: float(NOW))
    before = [await verdict(verifies, signed()) for _ in range(2)]
    jwks_server.answer_keys(jwk("another"))  # under the same kid

    await keys.refresh()
    await settled(keys, 2)

    assert before == ["accepted", "accepted"]
    assert await verdict(verifies, signed()) == Reason.TOKEN_INVALID_SIGNATURE
    await keys.aclose()


async def test_a_key_that_is_fetched_again_keeps_what_it_proved(jwks_server, checks):
    jwks_server.answer_keys(jwk())
    keys = JwksKeys(jwks_server.url)
    verifies = SessionVerifier(keys, issuer=ISSUER, now=lambda: float(NOW))
    token = signed()
    await verifies.verify(token)
    jwks_server.answer_keys(jwk("another", kid="ins_new"), jwk())

    await keys.refresh()
    await verifies.verify(token)
    await keys.aclose()

    assert len(checks) == 1


def test_no_byte_can_move_between_the_parts_of_a_token_that_was_right():
    verifies = verifier()
    token = signed()
    verifies.verify_now(token)
    header, payload, signature = token.split(".")

    for moved in (
        f"{header}.{payload}{signature[:4]}.{signature[4:]}",
        f"{header}.{payload[:-4]}.{payload[-4:]}{signature}",
        f"{header}{payload[:4]}.{payload[4:]}.{signature}",
        f"{header}.{payload}.{signature}=",
        f" {token}",
    ):
        with pytest.raises(TokenRejected):
            verifies.verify_now(moved)


@pytest.mark.parametrize("second", ["token", "bytes"])
def test_the_second_time_a_token_says_the_same_as_the_first(second):
    verifies = verifier()
    token = signed(claims(nbf=NOW, act={"sub": "user_admin"}, o={"id": "org_1", "rol": "admin"}, v=2, plan="free"))
    first = verifies.verify_now(token)
    again = verifies.verify_now(token if second == "token" else token.encode())

    assert again == first
    assert dict(again.claims) == dict(first.claims)
    assert again.claims["plan"] == "free"


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW + 64, None),
        (NOW + 65, Reason.TOKEN_EXPIRED),
        (NOW - 5, None),
        (NOW - 6, Reason.TOKEN_ISSUED_IN_THE_FUTURE),
        (NOW - 15, None),
        (NOW - 16, Reason.TOKEN_NOT_ACTIVE_YET),
    ],
)
def test_the_times_of_a_token_that_was_right_are_judged_each_time(now, reason):
    moment = float(NOW)
    verifies = verifier(lambda: moment)
    token = signed(claims(iat=... if now in (NOW - 15, NOW - 16) else NOW, nbf=NOW - 10))
    verifies.verify_now(token)

    moment = float(now)

    if reason is None:
        assert verifies.verify_now(token).user_id
        return
    with pytest.raises(TokenRejected) as caught:
        verifies.verify_now(token)
    assert caught.value.reason == reason


def test_revocations_are_asked_each_time():
    asked = []

    class Check:
        def check(self, caller):
            asked.append(caller.session_id)
            if len(asked) > 1:
                raise TokenRejected(Reason.SESSION_REVOKED, "The session was revoked.")

    verifies = SessionVerifier(PemKey(pem()), issuer=ISSUER, revocations=Check(), now=lambda: float(NOW))
    token = signed()
    verifies.verify_now(token)

    with pytest.raises(TokenRejected):
        verifies.verify_now(token)
    assert len(asked) == 2


def test_nothing_that_is_remembered_holds_the_token():
    verifies = verifier()
    token = signed(claims(plan="very-private"))
    verifies.verify_now(token)
    payload = token.split(".")[1]

    kept = repr(verifies._proofs._proofs)
    assert payload not in kept
    assert "very-private" not in kept
    assert payload not in repr(verifies.verify_now(token))


def test_what_one_caller_does_to_nested_claims_is_not_seen_by_the_next():
    verifies = verifier()
    token = signed(claims(meta={"plan": "free"}))

    verifies.verify_now(token).claims["meta"]["plan"] = "paid"

    assert verifies.verify_now(token).claims["meta"] == {"plan": "free"}


@each_row("case", lambda: [case for case in cases() if case.expected != "accepted"], ids=lambda case: case.name)
def test_no_bad_token_gets_in_behind_good_ones_or_the_second_time(case: Case):
    verifies = verifier()
    verifies.verify_now(signed())

    for _ in range(2):
        with pytest.raises(TokenRejected) as caught:
            verifies.verify_now(case.token)
        assert caught.value.reason == case.expected


def test_memory_is_bounded_and_the_oldest_is_checked_anew(checks):
    proofs, key = Proofs(), private_key().public_key()
    first, another = signed(), signed(claims(sid="sess_another"))

    def check(token: str) -> None:
        proofs.require_signature(digest_of(token), opened(token), key)

    check(first)
    proofs._proofs |= {number.to_bytes(32, "big"): Proof(key, None) for number in range(REMEMBERED - 1)}
    check(first)
    assert len(checks) == 1
    check(another)
    check(first)

    assert len(checks) == 3
    assert len(proofs._proofs) == REMEMBERED


async def test_threads_may_verify_at_once():
    verifies = verifier()
    tokens = [signed(claims(sid=f"sess_{n}")) for n in range(20)]

    async with asyncio.TaskGroup() as tasks:
        of_each = [tasks.create_task(asyncio.to_thread(verifies.verify_now, token)) for token in tokens * 5]

    assert [task.result().session_id for task in of_each] == [f"sess_{n}" for n in range(20)] * 5
