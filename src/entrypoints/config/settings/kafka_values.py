"""Kafka's variables in the spellings that hosts and other clients write them in."""

import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from attrs import frozen

from entrypoints.config.parsing import comma_separated, port

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


@frozen
class Broker:
    """One entry of `KAFKA_BOOTSTRAP_SERVERS`."""

    address: str
    """`host:port`, an IPv6 address in brackets."""
    protocols: frozenset[SecurityProtocol] = frozenset(SecurityProtocol)
    """Those that the scheme in front of it may stand for; all when there is none."""

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
# Names in private zones and of containers have underscores too.
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253

_UNSUPPORTED = {
    "oauthbearer": "OAUTHBEARER",
    "awsmskiam": "AWS_MSK_IAM (on MSK, switch on SASL/SCRAM and use port 9096)",
    "gssapi": "GSSAPI",
    "kerberos": "Kerberos",
    "scramsha1": "SCRAM-SHA-1",
    "external": "EXTERNAL (client certificates)",
    "mtls": "mTLS (client certificates)",
}
"""What exists elsewhere, by its letters and digits."""


def brokers(value: str) -> tuple[Broker, ...]:
    """Read a list; one that is named twice counts once."""
    return tuple({each.address.lower(): each for each in comma_separated(broker)(value)}.values())


def broker(value: str) -> Broker:
    """Read `host:port`, perhaps behind a scheme; every ValueError names the part that is wrong."""
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
    try:
        port(port_text)
    except ValueError as error:
        raise ValueError(f"the port is {error}") from None
    return text


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    if labels[-1].isdecimal():  # no top-level domain is a number, so this has to be an IPv4 address
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
        return True
    return len(host) <= _LONGEST_NAME and all(_LABEL.fullmatch(label) for label in labels)


def security_protocol(value: str) -> SecurityProtocol:
    """Read it in any case, with or without `_` or `-`; TLS is another word for SSL."""
    return _one_of(SecurityProtocol, value, _letters(value).replace("tls", "ssl"))


def sasl_mechanism(value: str) -> SaslMechanism:
    """Read it in any case, with or without `_` or `-`."""
    letters = _letters(value)
    if letters in _UNSUPPORTED:
        raise ValueError(f"{_UNSUPPORTED[letters]} is not supported; what is: {', '.join(SaslMechanism)}")
    return _one_of(SaslMechanism, value, letters)


def _one_of(choices: type[E], value: str, letters: str) -> E:
    if not value.isascii():
        raise ValueError(f"not one of {', '.join(choices)}")
    for choice in choices:
        if _letters(choice) == letters:
            return choice
    raise ValueError(f"not one of {', '.join(choices)}")


def _letters(value: str) -> str:
    return re.sub(r"[\s_-]", "", value).casefold()
