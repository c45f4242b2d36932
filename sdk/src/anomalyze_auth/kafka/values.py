"""Parse the `KAFKA_*` variables, in the spellings of hosts and other clients; a ValueError never repeats a value."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from attrs import frozen

from anomalyze_auth.addresses import protected_url

E = TypeVar("E", bound=StrEnum)


class SecurityProtocol(StrEnum):
    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def sasl(self) -> bool:
        return self.startswith("SASL_")

    @property
    def tls(self) -> bool:
        return self.endswith("SSL")


class SaslMechanism(StrEnum):
    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"
    AWS_MSK_IAM = "AWS_MSK_IAM"  # OAUTHBEARER, with a token signed with AWS credentials

    @property
    def password(self) -> bool:
        """Whether it uses a user name and a password."""
        return self not in (SaslMechanism.OAUTHBEARER, SaslMechanism.AWS_MSK_IAM)


@frozen
class Broker:
    """One entry of `KAFKA_BOOTSTRAP_SERVERS`."""

    address: str  # `host:port`, an IPv6 address in brackets
    protocols: frozenset[SecurityProtocol] = frozenset(SecurityProtocol)  # those that its scheme allows

    def __str__(self) -> str:
        return self.address


_TLS = frozenset({SecurityProtocol.SSL, SecurityProtocol.SASL_SSL})
_SCHEMES: Mapping[str, frozenset[SecurityProtocol]] = {
    **{protocol.lower(): frozenset({protocol}) for protocol in SecurityProtocol},
    "kafka": frozenset(SecurityProtocol),
    "kafka+ssl": _TLS,  # Heroku's
    "kafkas": _TLS,
    "tls": _TLS,
}
# Underscores occur in private zones and in container names.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253
_HIGHEST_PORT = 65535
_MSK_HOST = re.compile(r"\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\.?:")
_SCOPES = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")  # RFC 6749 3.3
_EXTENSION = re.compile(r"([A-Za-z]+)=([\x20-\x7E]+)")  # RFC 7628 3.1; Kafka takes no TAB and no line break either

_UNSUPPORTED = {
    "gssapi": "GSSAPI",
    "kerberos": "Kerberos",
    "scramsha1": "SCRAM-SHA-1",
    "external": "EXTERNAL (client certificates need KAFKA_SECURITY_PROTOCOL=SSL and no mechanism)",
    "mtls": "mTLS (client certificates need KAFKA_SECURITY_PROTOCOL=SSL and no mechanism)",
}
"""Mechanisms of other clients, by their letters and digits."""


def broker(value: str) -> Broker:
    """Read `host:port`, with an optional scheme; every ValueError names the part that is wrong."""
    if not value.isprintable():
        raise ValueError("it holds line breaks or other invisible characters")
    if value[0] in "\"'" or value[-1] in "\"'":
        raise ValueError("quotes belong to a shell, not to the value")
    scheme, separator, rest = value.rpartition("://")
    protocols = _SCHEMES.get(scheme.lower()) if separator else frozenset(SecurityProtocol)
    if protocols is None:
        raise ValueError(f"the scheme is none of {', '.join(sorted(_SCHEMES))}; host:port needs none")
    rest = rest.removesuffix("/") if separator else rest
    if "@" in rest:
        raise ValueError("user and password go into KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
    if "/" in rest or "?" in rest:
        raise ValueError("a path or parameters behind host:port")
    if " " in rest or ";" in rest:
        raise ValueError("brokers are separated by commas")
    return Broker(_host_and_port(rest), protocols)


def _host_and_port(text: str) -> str:
    if text.startswith("["):
        host, bracket, behind = text[1:].partition("]")
        if not bracket or not _is_ipv6(host):
            raise ValueError("not an IPv6 address in the brackets")
        separator, port_text = behind[:1], behind[1:]
    else:
        host, separator, port_text = text.rpartition(":") if ":" in text else (text, "", "")
        if ":" in host:
            raise ValueError("an IPv6 address goes in brackets, its port behind them: [::1]:9092")
        if not _is_name(host):
            raise ValueError("the host is not a host name or an IP address")
    if separator != ":" or not port_text:
        raise ValueError("the port is missing")
    digits = port_text.lstrip("0")
    if not re.fullmatch(r"[0-9]{1,5}", digits) or int(digits) > _HIGHEST_PORT:
        raise ValueError(f"the port is not a number from 1 to {_HIGHEST_PORT}")
    return text


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    if labels[-1].isdecimal():  # no top-level domain is a number, so this must be an IPv4 address
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    return len(host) <= _LONGEST_NAME and all(_LABEL.fullmatch(label) for label in labels)


def security_protocol(value: str) -> SecurityProtocol:
    """Read it in any case, with or without `_` or `-`; TLS means SSL."""
    return _one_of(SecurityProtocol, value, _letters(value).replace("tls", "ssl"))


def sasl_mechanism(value: str) -> SaslMechanism:
    """Read it in any case, with or without `_` or `-`."""
    letters = _letters(value)
    if letters in _UNSUPPORTED:
        raise ValueError(f"{_UNSUPPORTED[letters]} is not supported; what is: {', '.join(SaslMechanism)}")
    return _one_of(SaslMechanism, value, letters)


def line(value: str) -> str:
    """Check that it is one line without invisible characters."""
    if not value.isprintable():
        raise ValueError("it holds line breaks or other invisible characters")
    return value


def token_url(value: str) -> str:
    """Check an OAuth token endpoint: https, or http on this machine and on test hosts (`protected_url`)."""
    protected_url(line(value))
    if "#" in value or "/.well-known/" in value:
        raise ValueError("it has to be the token endpoint itself, without a fragment; not a discovery document")
    return value


def scope(value: str) -> str:
    """Check scopes, separated by single blanks."""
    if not _SCOPES.fullmatch(value):
        raise ValueError("scopes are separated by single blanks, and hold no quotes, backslashes or other characters")
    return value


def extensions(value: str) -> tuple[tuple[str, str], ...]:
    """Read SASL extensions, `name=value` separated by commas."""
    found: dict[str, str] = {}
    for number, entry in enumerate((part.strip() for part in value.split(",") if part.strip()), 1):
        parts = _EXTENSION.fullmatch(entry)
        if parts is None or parts[1] in ("auth", *found):
            raise ValueError(f"entry {number}: not name=value, with letters as a name that is not auth and comes once")
        found[parts[1]] = parts[2]
    if not found:
        raise ValueError("the list is empty")
    return tuple(found.items())


def aws_region(addresses: Iterable[str], environment: Mapping[str, str]) -> str | None:
    """Return the region in MSK's broker names, or else the one in AWS's own variables."""
    named = (match[1] for address in addresses if (match := _MSK_HOST.search(address)))
    return next(named, None) or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")


def _one_of(choices: type[E], value: str, letters: str) -> E:
    for choice in choices:
        if value.isascii() and _letters(choice) == letters:
            return choice
    raise ValueError(f"not one of {', '.join(choices)}")


def _letters(value: str) -> str:
    return re.sub(r"[\s_-]", "", value).casefold()
