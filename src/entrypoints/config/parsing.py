"""Read one environment variable's text; every `ValueError` says what was expected and never repeats the text."""

import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit

from entrypoints.config.secret import Secret
from entrypoints.config.service_keys import ANY_ORGANIZATION, ServiceKey, service_key
from entrypoints.config.written import forgiving, is_template

if TYPE_CHECKING:
    from adapters.postgres.connection.target import Target

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")

_LISTENING_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")

MOST_WORKERS = 256


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
                entries.append(forgiving(parse)(entry))
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


def number(most: float, of: str = "") -> Callable[[str], float]:
    """Read a number from 0 to `most`."""

    def parse(value: str) -> float:
        try:
            found = float(value)
        except ValueError:
            found = -1
        if not 0 <= found <= most:
            raise ValueError(f"not a number{of} from 0 to {most}")
        return found

    return parse


def database_url(value: str) -> "Target":
    """Read a PostgreSQL connection string, with what it refers to: files, services, the environment."""
    from adapters.postgres.connection.target import read_target  # noqa: PLC0415  # only what uses PostgreSQL needs it

    target = read_target(line(value))
    parts = {"the user": target.user, "the password": target.password, "the database name": target.database}
    for part, held in parts.items():
        if is_template(held):
            raise ValueError(f"{part} is the placeholder of an example: put the real one in its place")
    return target


def primary_url(value: str) -> "Target":
    """Read a connection string of a server that takes writes."""
    target = database_url(value)
    if target.wanted in ("read-only", "standby", "prefer-standby"):
        raise ValueError(f"target_session_attrs={target.wanted} may choose a server that takes no writes: read-write")
    return target


def http_url(value: str) -> str:
    parts = split_url(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("not an http(s) URL")
    return value.rstrip("/")


def origin(value: str) -> str:
    """Return an origin as browsers send it, and as Clerk puts it into `azp`."""
    from anomalyze_auth import serialized_origin  # noqa: PLC0415  # not every command needs it, and it imports cryptography

    return serialized_origin(value)


def proxy_url(value: str) -> str:
    """Return an HTTP proxy's URL as every client reads it; `host:port` alone is taken too."""
    parts = split_url(line(value) if "://" in value else f"http://{line(value)}")
    if parts.scheme.startswith("socks"):
        raise ValueError("a SOCKS proxy; only HTTP proxies are used here (http://host:port)")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not the URL of an HTTP proxy (http://host:port)")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("more than host and port; write /, ? and # in a password as %2F, %3F and %23")
    if not HOST.fullmatch(parts.hostname):
        raise ValueError("the host in it is none")
    user, password = (quote(unquote(text), safe="") if text else text for text in (parts.username, parts.password))
    credentials = "" if user is None else f"{user}@" if password is None else f"{user}:{password}@"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{credentials}{host}{'' if parts.port is None else f':{parts.port}'}"


def direct_host(value: str) -> str:
    """Return an entry of NO_PROXY as every client reads it; empty for a network that no client understands."""
    if "://" in value or not re.fullmatch(r"\*|[A-Za-z0-9._:/*\[\]-]+", value):
        raise ValueError("not a host, a domain or an address (no scheme; commas between several)")
    address, slash, _ = value.strip("[]").partition("/")
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        if slash:
            raise ValueError("not an address before the /") from None
        return value if value == "*" else value.removeprefix("*")
    # httpx refuses an IPv6 network and brackets; a network of IPv4 is heeded by what sends traces.
    return f"{address}{value[value.index('/') :]}" if slash and version == 4 else "" if slash else address  # noqa: PLR2004


def port(value: str) -> int:
    """Read a port; zeros before it change nothing."""
    if "://" in value:  # Kubernetes describes a service of the namespace so, as NAME_PORT
        raise ValueError("a URL, not a number from 1 to 65535; Kubernetes' service links look like this")
    digits = value.lstrip("0")
    if re.fullmatch(r"[0-9]{1,5}", digits, re.ASCII) and int(digits) <= 65535:  # noqa: PLR2004
        return int(digits)
    raise ValueError("not a number from 1 to 65535")


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


def service_keys(value: str) -> tuple[ServiceKey, ...]:
    keys = comma_separated(service_key)(value)
    if len({key.name for key in keys}) < len(keys):
        raise ValueError("two keys have one name; name them apart, so that the log can tell which was used")
    return keys


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"not {expected}")
        return value

    return check


permission = _matching(r"org:[A-Za-z0-9_]+:[A-Za-z0-9_]+", "a permission of an organization (org:feature:permission)")
"""The key of a Clerk permission in its long form, as session tokens are read."""

topic = _matching(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}", "a Kafka topic name")  # Kafka's own rule

_organization_id = _matching(
    r"org_[A-Za-z0-9_-]{1,123}", "the id of an organization (org_…); `*` alone is any organization"
)


def organizations(value: str) -> tuple[str, ...]:
    """Read ids of organizations, or `*` alone, which is any."""
    if value.strip() == ANY_ORGANIZATION:
        return (ANY_ORGANIZATION,)
    return comma_separated(_organization_id)(value)


def _link(value: str) -> tuple[str, str]:
    name, separator, address = value.partition("=")
    if not separator or not name.strip():
        raise ValueError("not name=address")
    parts = split_url(line(address.strip()))
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("the address is not an http(s) URL, or it has a user in it: anybody may read this page")
    return line(name.strip()), address.strip()


links = comma_separated(_link)


def split_url(value: str) -> SplitResult:
    """Take a URL apart, if its port and its host can be used; the scheme is not looked at."""
    try:
        parts = urlsplit(value)
        _ = parts.port
        (parts.hostname or "").encode("idna")  # as name resolution does, with an error that is no OSError
    except ValueError:
        raise ValueError("not a URL") from None  # the original message repeats parts of it
    return parts
