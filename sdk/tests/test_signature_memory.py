"""A right signature is checked once; that must not let anything in that a second check would refuse."""

import asyncio
from collections.abc import Callable

import attrs
import jwt.algorithms
import pytest

from anomalyze_auth import JwksKeys, PemKey, Reason, SessionVerifier, TokenRejected
from anomalyze_auth._signature import REMEMBERED, Signatures
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


def test_no_byte_can_move_between_what_is_signed_and_the_signature():
    signatures, key = Signatures(), private_key().public_key()
    token = opened(signed())
    assert signatures.right(token, key)

    for moved in range(1, 4):
        longer, shorter = token.signature[:moved], token.signature[moved:]
        assert not signatures.right(
            attrs.evolve(token, signing_input=token.signing_input + longer, signature=shorter), key
        )
    start, end = token.signing_input[:-1], token.signing_input[-1:]
    assert not signatures.right(attrs.evolve(token, signing_input=start, signature=end + token.signature), key)


def test_what_one_caller_does_to_nested_claims_is_not_seen_by_the_next():
    verifies = verifier()
    token = signed(claims(meta={"plan": "free"}))

    verifies.verify_now(token).claims["meta"]["plan"] = "paid"

    assert verifies.verify_now(token).claims["meta"] == {"plan": "free"}


@each_row("case", [case for case in cases() if case.expected != "accepted"], ids=lambda case: case.name)
def test_no_bad_token_gets_in_behind_good_ones_or_the_second_time(case: Case):
    verifies = verifier()
    verifies.verify_now(signed())

    for _ in range(2):
        with pytest.raises(TokenRejected) as caught:
            verifies.verify_now(case.token)
        assert caught.value.reason == case.expected


def test_memory_is_bounded_and_the_oldest_is_checked_anew(checks):
    signatures, key = Signatures(), private_key().public_key()
    first = opened(signed())
    signatures.right(first, key)

    signatures._proven_by |= {number.to_bytes(32, "big"): key for number in range(REMEMBERED - 1)}
    signatures.right(first, key)
    assert len(checks) == 1
    signatures.right(opened(signed(claims(sid="sess_another"))), key)
    signatures.right(first, key)

    assert len(checks) == 3
    assert len(signatures._proven_by) == REMEMBERED


async def test_threads_may_verify_at_once():
    verifies = verifier()
    tokens = [signed(claims(sid=f"sess_{n}")) for n in range(20)]

    async with asyncio.TaskGroup() as tasks:
        of_each = [tasks.create_task(asyncio.to_thread(verifies.verify_now, token)) for token in tokens * 5]

    assert [task.result().session_id for task in of_each] == [f"sess_{n}" for n in range(20)] * 5
