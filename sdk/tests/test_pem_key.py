from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from anomalyze_auth import PemKey, SessionVerifier
from sdktest.rows import each_row
from sdktest.tokens import ISSUER, NOW, ec_private_key, pem, private_key, signed

PEM = pem()
BODY = "".join(PEM.splitlines()[1:-1])


def pkcs1() -> str:
    return (
        private_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1).decode()
    )


def private_pem() -> str:
    return (
        private_key()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def certificate() -> str:
    name = x509.Name([])
    return (
        x509.CertificateBuilder(name, name, private_key().public_key(), 1)
        .not_valid_before(datetime.now(UTC))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(private_key(), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def public_pem(key) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


@each_row(
    "text",
    [
        PEM,
        PEM.strip(),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", "\\r\\n"),
        PEM.replace("\n", "\\\\n"),
        PEM.replace("\n", "\\\\r\\\\n"),
        PEM.replace("\n", ""),
        PEM.replace("\n", " "),
        f'"{PEM}"',
        f"'{PEM.strip()}'\n",
        BODY,
        f"  {BODY}\n",
        "\n".join(PEM.splitlines()[:-1]),
        "\n".join(PEM.splitlines()[1:]),
        pkcs1(),
    ],
)
def test_a_key_is_read_in_every_form_it_survives_an_environment_variable_in(text: str):
    verifier = SessionVerifier(PemKey(text), issuer=ISSUER, now=lambda: float(NOW))

    assert verifier.verify_now(signed()).user_id == "user_2abcDEFghi"


@each_row(
    ("text", "message"),
    lambda: [
        ("", "empty"),
        ("  \n", "empty"),
        ('""', "empty"),
        ("not a key", "cannot be read"),
        ("AAAA", "cannot be read"),
        (BODY[:-40], "cannot be read"),
        ("ключ", "cannot be read"),
        (private_pem(), "is a PRIVATE KEY; a PUBLIC KEY is needed"),
        (certificate(), "is a CERTIFICATE"),
        (public_pem(ec_private_key()), "not an RSA key"),
        (pem("weak", 1024), "an RSA key of 1024 bits"),
        (public_pem(rsa.generate_private_key(public_exponent=3, key_size=2048)), "exponent 3"),
        ("https://clerk.example.com/.well-known/jwks.json", "cannot be read"),
    ],
)
def test_an_unusable_key_is_refused_at_once_and_the_message_says_what_it_is(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        PemKey(text)


def test_a_private_key_given_by_mistake_does_not_appear_in_the_message():
    with pytest.raises(ValueError, match="PRIVATE KEY") as caught:
        PemKey(private_pem())

    assert not any(line in str(caught.value) for line in private_pem().splitlines()[1:-1])
    assert caught.value.__context__ is None
