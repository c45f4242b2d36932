"""A certificate authority of a test's own, and the files that it issues."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


@frozen
class Pair:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path


@frozen
class Authority:
    folder: Path
    name: str = "ca"
    key: ec.EllipticCurvePrivateKey = field(factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def file(self) -> Path:
        """Its own certificate."""
        path = self.folder / f"{self.name}.pem"
        if not path.exists():
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
            builder = _builder(subject, subject, self.key, datetime.now(UTC) + timedelta(days=365))
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path

    def issue(self, name: str, *, days: float = 30, until: datetime | None = None, password: str | None = None) -> Pair:
        """Issue a certificate, for servers on this machine and for clients: since 30 days ago, for so many from now."""
        authority = x509.load_pem_x509_certificate(self.file.read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        ends = until or datetime.now(UTC) + timedelta(days=days)
        builder = _builder(subject, authority.subject, key, ends)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        pair.certificate.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return pair


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(ends, datetime.now(UTC)) - timedelta(days=30))
        .not_valid_after(ends)
    )
