"""The secret that webhooks are signed with."""

import base64

from attrs import field, frozen

KEY_BYTES = range(24, 65)  # length of a signing key (Standard Webhooks, "Signature scheme")


@frozen
class SigningKey:
    key: bytes = field(repr=False)
    written: str = field(repr=False)  # as configured, `whsec_…`


def parse_signing_key(secret: str) -> SigningKey:
    """Read `whsec_…`, or raise ValueError: it is not a signing secret; the message does not contain it."""
    if secret.startswith("whpk_"):
        raise ValueError("a webhook public key (whpk_…) verifies nothing here: use the signing secret (whsec_…)")
    if not secret.startswith("whsec_"):
        raise ValueError("a webhook signing secret starts with whsec_")
    encoded = secret.removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        raise ValueError("what follows whsec_ in a webhook signing secret is not base64") from None
    if len(key) not in KEY_BYTES:
        raise ValueError(f"a webhook signing secret holds {KEY_BYTES[0]} to {KEY_BYTES[-1]} bytes, not {len(key)}")
    return SigningKey(key, secret)
