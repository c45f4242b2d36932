"""One row of the table of tokens."""

import attrs

ACCEPTED = "accepted"


@attrs.frozen
class Case:
    """`expected` is ACCEPTED or a Reason; `with_jwks` when a key set decides differently from a PEM."""

    name: str
    token: str
    expected: str
    with_jwks: str | None = None
