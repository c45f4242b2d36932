"""Read Clerk's keys and addresses; every `ValueError` says what was expected and never repeats the text."""

import base64
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen

from application.users.signing_key import SigningKey, parse_signing_key
from entrypoints.config.parsing import HOST, http_url, line
from entrypoints.config.written import from_base64, is_placeholder

if TYPE_CHECKING:
    from anomalyze_auth import PemKey

WEBHOOK_SECRET_EXAMPLE = "whsec_dGhpcyBpcyBhbiBleGFtcGxlLCBhbmQgbm8gc2VjcmV0"  # noqa: S105  # of no instance
SECRET_KEY_EXAMPLE = "sk_test_thisIsAnExampleAndNotTheKeyOfAnyInstance"  # noqa: S105  # of no instance

BACKEND_API = "https://api.clerk.com"
_API_HOST = "api.clerk.com"
BACKEND_KEYS = "/v1/jwks"  # the key set as the Backend API serves it for the secret key (Clerk, "GET /v1/jwks")

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PUBLISHABLE_KEY = re.compile(r"pk_(?:test|live)_([A-Za-z0-9+/=_-]+)")
_SECRET_KEY = re.compile(r"sk_(?:test|live)_(?:(?![,;\"'`])[!-~])+")


@frozen
class PublishableKey:
    """Clerk's `pk_test_…` or `pk_live_…`: base64 of the Frontend API's host and `$`."""

    written: str
    kind: str  # `test` or `live`
    host: str

    def __str__(self) -> str:
        return self.written

    @property
    def issuer(self) -> str:
        return f"https://{self.host}"


@frozen
class PublicKey:
    """The instance's RSA public key."""

    written: str  # in PEM
    source: "PemKey" = field(eq=False)

    def __str__(self) -> str:
        return self.written


def webhook_secret(value: str) -> SigningKey:
    _refuse_example(value, WEBHOOK_SECRET_EXAMPLE)
    return parse_signing_key(value)


def secret_key(value: str) -> str:
    if not value.startswith(("sk_test_", "sk_live_")):
        raise ValueError("it does not start with sk_test_ or sk_live_")
    _refuse_example(value, SECRET_KEY_EXAMPLE)
    if not _SECRET_KEY.fullmatch(value):
        raise ValueError("it holds a blank, a line break or another character that no secret key has")
    return value


def kind_of(key: str) -> str:
    """Return `test` or `live`: the second part of any key of Clerk's."""
    return key.split("_")[1]


def public_key(value: str) -> PublicKey:
    """Read a public key in any form that `PemKey` accepts, or in base64 as a whole."""
    from anomalyze_auth import PemKey  # noqa: PLC0415  # only serve needs it, and cryptography is slow to import

    if value.lstrip().startswith("{"):
        raise ValueError("a JSON Web Key: take the key in PEM, which the dashboard shows beside it")
    decoded = from_base64(value)
    pem = decoded if decoded.lstrip().startswith("-----BEGIN") else value
    if "-----BEGIN" in pem and "-----END" not in pem:
        raise ValueError("its end is missing: write the line ends of the PEM as \\n, or name a file that holds it")
    return PublicKey(pem, PemKey(pem))


def publishable_key(key: str) -> PublishableKey:
    match = _PUBLISHABLE_KEY.fullmatch(key)
    if match is None:
        if key.startswith(("pk_test_", "pk_live_")):
            raise ValueError("what follows the prefix is not base64")
        raise ValueError("it does not start with pk_test_ or pk_live_")
    encoded = match[1].rstrip("=")
    try:
        host = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("ascii").lower()
    except ValueError:
        raise ValueError("what follows the prefix is not base64") from None
    if not host.endswith("$") or not _HOST_NAME.fullmatch(host[:-1]):
        raise ValueError("it does not hold a host name")
    return PublishableKey(key, kind_of(key), host[:-1])


def issuer(value: str) -> str:
    """Return what tokens carry as `iss`: the Frontend API's URL, in lower case, without a last `/`."""
    url = _clerk_url(value)
    parts = urlsplit(url)
    if parts.path.lower().endswith("jwks.json") or "/.well-known" in parts.path.lower():
        raise ValueError("the address of a document, not an issuer: leave out /.well-known and what follows")
    if parts.hostname == _API_HOST or parts.path.endswith(BACKEND_KEYS):
        raise ValueError("an address of the Backend API: the issuer is the URL of the Frontend API")
    if (parts.hostname or "").endswith(".accounts.dev") and not (parts.hostname or "").endswith(".clerk.accounts.dev"):
        raise ValueError("the address of the Account Portal: the Frontend API's ends in .clerk.accounts.dev")
    return url


def jwks_url(value: str) -> str:
    url = _clerk_url(value)
    path = urlsplit(url).path
    if urlsplit(url).hostname == _API_HOST and path != BACKEND_KEYS:
        raise ValueError(f"the Backend API serves its keys at {BACKEND_API}{BACKEND_KEYS}")
    if not path:
        raise ValueError("no path: the Frontend API serves its keys at /.well-known/jwks.json")
    if path.endswith("/openid-configuration"):
        raise ValueError("the address of a discovery document: the keys are at /.well-known/jwks.json beside it")
    return url


def api_url(value: str) -> str:
    """Return it without the `/v1` that Clerk's own variable may end in."""
    url = _clerk_url(value)
    if (urlsplit(url).hostname or "").endswith(".accounts.dev"):
        raise ValueError(f"an address of the Frontend API: the Backend API is {BACKEND_API}")
    return url.removesuffix("/v1")


def _clerk_url(value: str) -> str:
    if "://" not in value:
        raise ValueError("not an http(s) URL: https:// is missing in front")
    url = http_url(line(value))
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a URL with a user or a password in it")
    host = parts.hostname or ""
    if not HOST.fullmatch(host):
        raise ValueError("the host in it is none: letters, digits, dots and hyphens")
    port = "" if parts.port in (None, {"http": 80, "https": 443}[parts.scheme]) else f":{parts.port}"
    from anomalyze_auth import protected_url  # noqa: PLC0415  # not every command needs it, and it imports cryptography

    return protected_url(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}")


def _refuse_example(value: str, example: str) -> None:
    if value == example:
        raise ValueError("the example from the documentation, which everybody knows: put the real one in its place")
    if is_placeholder(value):
        raise ValueError("the placeholder of an example, not a value: put the real one in its place")
