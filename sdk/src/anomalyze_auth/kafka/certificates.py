"""Check certificates and keys in PEM files; error messages never repeat their content."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

_LARGEST_BYTES = 1024 * 1024


@attrs.frozen
class CertificateProblem(Exception):  # noqa: N818  (one of several)
    """Why a certificate and its key cannot be used."""

    variable: str
    what: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.what}"


@attrs.frozen
class Validity:
    """The validity period of a certificate."""

    begins: datetime
    ends: datetime

    def is_ending(self, now: datetime) -> bool:
        """Whether it is due for renewal: less than a sixth of its lifetime is left, and less than two weeks."""
        left = self.ends - now
        return left < (self.ends - self.begins) / 6 and left.days < 14  # noqa: PLR2004


def authorities_file(value: str) -> Path:
    """Check a file of certificate authorities."""
    path = pem_file(value, "certificate")
    try:
        ssl.create_default_context(cafile=path)
    except OSError:  # ssl.SSLError is one
        raise ValueError("the file holds no certificates in PEM (-----BEGIN CERTIFICATE)") from None
    return path


def certificate_file(value: str) -> Path:
    """Check a file with a client certificate and its chain."""
    path = pem_file(value, "certificate")
    try:
        x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        raise ValueError("the file holds no certificate in PEM (-----BEGIN CERTIFICATE)") from None
    return path


def key_file(value: str) -> Path:
    """Check a file with a private key, as far as possible without its password."""
    path = pem_file(value, "key")
    if b"PRIVATE KEY-----" not in path.read_bytes():
        raise ValueError("the file holds no private key in PEM (-----BEGIN PRIVATE KEY)")
    return path


def pem_file(value: str, kind: str) -> Path:
    """Check that a file exists, is readable, and is not in a binary format."""
    if "-----BEGIN" in value:
        raise ValueError(f"it holds the {kind} itself; write that to a file, and name the file here")
    if "://" in value:
        raise ValueError("a URL; it has to be the path of a file")
    path = Path(value)
    try:
        if not path.is_file():
            raise ValueError("no such file" if not path.exists() else "not a file")
        with path.open("rb") as file:
            start = file.read(2)
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("the file is larger than 1 MiB")
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from None
    if start in (b"\xfe\xed", b"PK") or start[:1] == b"0":  # JKS; a zip archive; DER and PKCS#12
        plural = "certificates" if kind == "certificate" else "a key"
        raise ValueError(
            f"a Java key store, an archive or DER; it has to be {plural} in PEM (-----BEGIN "
            f"{'CERTIFICATE' if kind == 'certificate' else 'PRIVATE KEY'})"
        )
    return path


def validity(certificate: bytes) -> Validity:
    """The validity period of the first certificate of a chain in PEM; ValueError: there is none."""
    first = x509.load_pem_x509_certificates(certificate)[0]
    return Validity(first.not_valid_before_utc, first.not_valid_after_utc)


def check_pair(certificate: bytes, key: bytes, password: str | None, *, now: datetime | None = None) -> None:
    """Check that a client can present this certificate with this key, both in PEM; CertificateProblem: it cannot."""
    try:
        first = x509.load_pem_x509_certificates(certificate)[0]
    except ValueError:
        raise CertificateProblem("KAFKA_SSL_CERT_FILE", "the file holds no certificate in PEM") from None
    try:
        private = load_pem_private_key(key, None if password is None else password.encode())
    except TypeError:  # cryptography raises it for both cases
        if password is None:
            what = "missing; the key in KAFKA_SSL_KEY_FILE is encrypted"
        else:
            what = "set, but the key in KAFKA_SSL_KEY_FILE is not encrypted"
        raise CertificateProblem("KAFKA_SSL_KEY_PASSWORD", what) from None
    except (ValueError, UnsupportedAlgorithm):
        if password is not None and b"ENCRYPTED" in key:
            what = "it does not decrypt the key in KAFKA_SSL_KEY_FILE"
            raise CertificateProblem("KAFKA_SSL_KEY_PASSWORD", what) from None
        raise CertificateProblem("KAFKA_SSL_KEY_FILE", "the file holds no private key that can be used") from None
    if private.public_key() != first.public_key():
        what = "the key is not that of the first certificate in KAFKA_SSL_CERT_FILE"
        raise CertificateProblem("KAFKA_SSL_KEY_FILE", what)
    now = now or datetime.now(UTC)
    if now >= first.not_valid_after_utc:
        what = f"the certificate expired on {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        raise CertificateProblem("KAFKA_SSL_CERT_FILE", what)
    if now < first.not_valid_before_utc:
        what = f"the certificate counts only from {first.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"
        raise CertificateProblem("KAFKA_SSL_CERT_FILE", what)
