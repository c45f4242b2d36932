"""The same tokens to Clerk's own SDK: every difference is in docs/clerk-sdk-differences.md, and only those."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from clerk_backend_api.security import authenticaterequest
from clerk_backend_api.security.types import AuthenticateRequestOptions, TokenVerificationError, VerifyTokenOptions
from clerk_backend_api.security.verifytoken import verify_token

from anomalyze_auth import PemKey, SessionVerifier, TokenRejected
from sdktest.table import ACCEPTED, cases
from sdktest.tokens import ISSUER, NOW, PARTY, pem

PAGE = (Path(__file__).parents[1] / "docs" / "clerk-sdk-differences.md").read_text()
OPAQUE = ("mt_", "m2m_", "oat_", "ak_")


class AtNow(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, tz)


class Request:
    def __init__(self, token: str) -> None:
        self.headers = {"Authorization": f"Bearer {token}"}


def ours(token: str) -> str:
    verifier = SessionVerifier(PemKey(pem()), issuer=ISSUER, authorized_parties=[PARTY], now=lambda: float(NOW))
    try:
        verifier.verify_now(token)
    except TokenRejected as rejected:
        return rejected.reason
    return ACCEPTED


def theirs(token: str, clerk_address: str) -> str:
    try:
        if token.startswith(OPAQUE):
            verify_token(token, VerifyTokenOptions(secret_key="sk_test_1", api_url=clerk_address))
            return ACCEPTED
        state = authenticaterequest.authenticate_request(
            Request(token), AuthenticateRequestOptions(jwt_key=pem(), authorized_parties=[PARTY])
        )
    except TokenVerificationError as error:
        return error.reason.value[0]
    except Exception as error:  # noqa: BLE001  (that it raises at all is a finding)
        return f"raises {type(error).__name__}"
    if state.is_signed_in:
        return ACCEPTED
    assert state.reason is not None
    return state.reason.value[0]


@pytest.fixture
def verdicts(monkeypatch, jwks_server) -> dict[str, tuple[str, str]]:
    """By token: our verdict and theirs, both at NOW."""
    monkeypatch.setattr("jwt.api_jwt.datetime", AtNow)
    return {case.name: (ours(case.token), theirs(case.token, jwks_server.origin)) for case in cases()}


def rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_difference_in_a_decision_is_explained_and_every_explanation_is_of_a_difference(verdicts):
    documented = {
        name: (row[1], row[2]) for row in rows("Decisions") for name in re.findall(r"`([^`]+)`(?:, |$)", row[0])
    }
    different = {
        name: pair
        for name, pair in verdicts.items()
        if (pair[0] == ACCEPTED) != (pair[1] == ACCEPTED) or pair[1].startswith("raises")
    }

    assert all(len(row) == 4 and row[3] for row in rows("Decisions"))
    assert documented == different


def test_the_reasons_of_both_correspond_as_documented(verdicts):
    documented = {(row[0], theirs) for row in rows("Names of the reasons") for theirs in row[1].split(", ")}
    met = {pair for pair in verdicts.values() if ACCEPTED not in pair and not pair[1].startswith("raises")}

    assert documented == met


def test_what_both_accept_is_the_same_user_with_the_same_permissions_but_for_one_token(monkeypatch):
    monkeypatch.setattr("jwt.api_jwt.datetime", AtNow)
    verifier = SessionVerifier(PemKey(pem()), issuer=ISSUER, authorized_parties=[PARTY], now=lambda: float(NOW))
    options = AuthenticateRequestOptions(jwt_key=pem(), authorized_parties=[PARTY])
    other_permissions = set()
    for case in cases():
        if case.expected != ACCEPTED or case.name.startswith("aud "):
            continue
        who = verifier.verify_now(case.token)
        payload = authenticaterequest.authenticate_request(Request(case.token), options).payload
        assert payload is not None
        assert payload["sub"] == who.user_id
        assert payload.get("sid") == who.session_id
        assert payload.get("org_id") == (who.organization and who.organization.id)
        if set(payload.get("org_permissions", [])) != (who.organization.permissions if who.organization else set()):
            other_permissions.add(case.name)

    assert other_permissions == {"organization with masks that are no numbers"}
