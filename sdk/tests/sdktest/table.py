"""The table of tokens that every SDK is tested with: what each is, and what must come of it."""

from functools import cache

import attrs
from devkit.conformance.token_vectors import ACCEPTED, Signer, vectors

from sdktest.tokens import ISSUER, KID, NOW, PARTY, private_key

__all__ = ["ACCEPTED", "Case", "cases"]


@attrs.frozen
class Case:
    """`expected` is ACCEPTED or a Reason; `with_jwks` when a key set decides differently from a PEM."""

    name: str
    token: str
    expected: str
    with_jwks: str | None = None


@cache
def cases() -> list[Case]:
    signer = Signer(key=private_key(), kid=KID, issuer=ISSUER, party=PARTY)
    made = [Case(each.name, signer.token(each, NOW), each.expected, each.with_jwks) for each in vectors()]
    assert len({case.name for case in made}) == len(made)
    return made
