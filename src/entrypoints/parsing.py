"""Read one environment variable's text; every `ValueError` says what was expected and never repeats the text."""

import base64
import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from application.signing_key import signing_key
from entrypoints.secret import Secret
from entrypoints.service_keys import ServiceKey, service_key

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_PUBLISHABLE_KEY = re.compile(r"pk_(?:test|live)_([A-Za-z0-9+/=_-]+)")

_LISTENING_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")

LONGEST_DELAY_S = 300

MOST_WORKERS = 256


def text(value: str) -> str:
    return value


def line(value: str) -> str:
    """Check that it is one line: whatever else is invisible came with the file or the clipboard."""
    if not value.isprintable():
        raise ValueError("it holds line breaks or other invisible characters")
    return value


def secret(parse: Callable[[str], T]) -> Callable[[str], Secret[T]]:
    return lambda value: Secret(parse(value))


def comma_separated(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Read a list; blanks around its entries and a trailing comma are forgiven."""

    def parse_all(value: str) -> tuple[T, ...]:
        texts = [entry.strip() for entry in value.split(",") if entry.strip()]
        if not texts:
            raise ValueError("the list is empty")
        entries, problems = [], []
        for number, entry in enumerate(texts, 1):
            try:
                entries.append(parse(entry))
            except ValueError as error:
                problems.append(str(error) if len(texts) == 1 else f"entry {number}: {error}")
        if problems:
            raise ValueError("; ".join(problems))
        return tuple(entries)

    return parse_all


def one_of(choices: type[E]) -> Callable[[str], E]:
    """Read a member by its value, in any case."""
    by_text = {choice.value.casefold(): choice for choice in choices}

    def parse(value: str) -> E:
        try:
            return by_text[value.casefold()]
        except KeyError:
            raise ValueError(f"not one of {', '.join(choices)}") from None

    return parse


def true_or_false(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError("neither true nor false")
    return value.lower() == "true"


def ratio(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError("not a number from 0 to 1") from None
    if not 0 <= number <= 1:
        raise ValueError("not a number from 0 to 1")
    return number


def delay_s(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1
    if not 0 <= number <= LONGEST_DELAY_S:
        raise ValueError(f"not a number of seconds from 0 to {LONGEST_DELAY_S}")
    return number


def database_url(value: str) -> str:
    """Check a libpq URL; the scheme may be `postgres` or `postgresql`, as hosting providers write either."""
    parts = _split(line(value))  # urlsplit drops line breaks without a word
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("the scheme is not postgresql://")
    if not parts.path.strip("/") and "dbname=" not in parts.query:
        raise ValueError("the database name is missing")
    return value


def http_url(value: str) -> str:
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("not an http(s) URL")
    return value.rstrip("/")


def origin(value: str) -> str:
    """Check an origin as browsers send it, and as Clerk puts it into `azp`: scheme, host, port and no path."""
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("not an origin (scheme, host and perhaps a port, no path)")
    if "*" in value or "@" in value:
        raise ValueError("an origin has no wildcard and no user")
    return f"{parts.scheme}://{parts.netloc}".lower()


def host_and_port(value: str) -> str:
    host, separator, port_text = value.rpartition(":")
    if not separator or not host or "/" in value:
        raise ValueError("not host:port")
    port(port_text)
    return value


def port(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value[:6]) <= 65535:  # noqa: PLR2004
        raise ValueError("not a number from 1 to 65535")
    return int(value)


def listening_host(value: str) -> str:
    """Check an address or a name to listen on; brackets around an IPv6 address are dropped."""
    bracketed = value.startswith("[") and value.endswith("]")
    try:
        address = ipaddress.ip_address(value[1:-1] if bracketed else value)
    except ValueError:
        if bracketed or not _LISTENING_NAME.fullmatch(value):
            raise ValueError("not an IP address or a host name (the port is PORT's)") from None
        return value
    if address.version == 6 and address.scope_id:  # noqa: PLR2004
        raise ValueError("an address with a zone (%) cannot be listened on")
    return str(address)


def workers(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value[:6]) <= MOST_WORKERS:
        raise ValueError(f"not a number from 1 to {MOST_WORKERS}")
    return int(value)


def certificates(value: str) -> Path:
    """Check a file of certificates in PEM."""
    import ssl  # noqa: PLC0415  # only what uses Kafka over TLS needs it

    path = Path(value)
    try:
        if not path.is_file():
            raise ValueError("no such file")
        ssl.create_default_context(cafile=path)
    except OSError:  # ssl.SSLError too
        raise ValueError("the file cannot be read, or holds no certificates in PEM") from None
    return path


def webhook_secret(value: str) -> str:
    signing_key(value)
    return value


def secret_key(value: str) -> str:
    if not value.startswith(("sk_test_", "sk_live_")) or not value.isascii() or not value.isprintable():
        raise ValueError("it does not start with sk_test_ or sk_live_")
    return value


def service_keys(value: str) -> tuple[ServiceKey, ...]:
    keys = comma_separated(service_key)(value)
    if len({key.name for key in keys}) < len(keys):
        raise ValueError("two keys have one name; name them apart, so that the log can tell which was used")
    return keys


def permission(value: str) -> str:
    """Check the key of a Clerk permission in its long form, as session tokens are read."""
    if not re.fullmatch(r"org:[A-Za-z0-9_]+:[A-Za-z0-9_]+", value):
        raise ValueError("not a permission of an organization (org:feature:permission)")
    return value


def organization_id(value: str) -> str:
    if not re.fullmatch(r"org_[A-Za-z0-9_-]{1,123}", value):
        raise ValueError("not the id of an organization (org_…)")
    return value


def public_key(value: str) -> str:
    """Check the instance's RSA public key; how it may be written is `PemKey`'s business."""
    from anomalyze_auth import PemKey  # noqa: PLC0415  # only serve needs it, and cryptography is slow to import

    PemKey(value)
    return value


def publishable_key(value: str) -> str:
    """Check Clerk's `pk_test_…` or `pk_live_…`, which is the Frontend API host and `$` in base64."""
    frontend_api_host(value)
    return value


def frontend_api_host(key: str) -> str:
    match = _PUBLISHABLE_KEY.fullmatch(key)
    if match is None:
        raise ValueError("it does not start with pk_test_ or pk_live_")
    encoded = match[1].rstrip("=")
    try:
        host = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("ascii")
    except ValueError:
        raise ValueError("what follows the prefix is not base64") from None
    if not host.endswith("$") or not _HOST_NAME.fullmatch(host[:-1]):
        raise ValueError("it does not hold a host name")
    return host[:-1]


def topic(value: str) -> str:
    """Check a Kafka topic name (Kafka's own rule: 249 characters of letters, digits, `.`, `_` and `-`)."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", value) or value in (".", ".."):
        raise ValueError("not a Kafka topic name")
    return value


def _split(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("not a URL") from None  # the original message repeats parts of it
    return parts
