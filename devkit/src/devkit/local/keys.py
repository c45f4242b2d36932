"""Generated keys for one machine, in place of those that Clerk and the service share."""

import base64
import secrets
from pathlib import Path

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from devkit.local.private_file import write_private

WEBHOOK_SECRET_FILE = "webhook-secret"  # noqa: S105  # a file's name
ISSUER = "http://localhost/dev"
"""Of tokens where no stand-in runs: nobody serves keys there, so they are verified with CLERK_JWT_KEY."""

ORGANIZATION = "org_dev"
"""Whose people may manage users here; Clerk's own ids are longer."""
SECRET_KEY_FILE = "clerk-secret-key"  # noqa: S105  # a file's name
PRIVATE_KEY_FILE = "session-key.pem"


@frozen(kw_only=True)
class LocalKeys:
    """The webhook endpoint's signing secret, and the RSA key (PEM) that session tokens are signed with."""

    webhook_secret: str = field(repr=False)
    private_key: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What the service is configured with to trust them; each value is one line."""
        public_key = public_half(self.private_key).replace("\n", "\\n")
        return {"CLERK_WEBHOOK_SECRET": self.webhook_secret, "CLERK_JWT_KEY": public_key}


def new_keys() -> LocalKeys:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return LocalKeys(
        webhook_secret="whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def keys_kept_in(folder: Path) -> LocalKeys:
    """Return the keys of an earlier run, or new ones that are kept from now on, readable by their owner alone."""
    secret_file, key_file = folder / WEBHOOK_SECRET_FILE, folder / PRIVATE_KEY_FILE
    if not (secret_file.exists() and key_file.exists()):
        made = new_keys()
        write_private(secret_file, made.webhook_secret + "\n")
        write_private(key_file, made.private_key)
    return LocalKeys(webhook_secret=secret_file.read_text().strip(), private_key=key_file.read_text())


def secret_key_kept_in(folder: Path) -> str:
    """Return the Backend API key of an earlier run's Clerk stand-in, or a new one that is kept from now on."""
    file = folder / SECRET_KEY_FILE
    if not file.exists():
        write_private(file, f"sk_test_{secrets.token_hex(20)}\n")
    return file.read_text().strip()


def public_half(private_key: str) -> str:
    """Return the public key (PEM) of a private one.

    Raises:
        ValueError: it is not a private key in PEM.
    """
    key = load_pem_private_key(private_key.encode(), password=None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()
