"""Readers for single claims: each returns the value, or None if it is absent, and refuses a wrong type."""

import re
from collections.abc import Mapping
from typing import Any

from anomalyze_auth.errors import Reason, TokenRejected

# Ids and roles are copied into headers, logs and queries of other services: visible ASCII only.
_IDENTIFIER = re.compile(r"[!-~]{1,255}")
# What `datetime` can hold: 1970 to 9999.
_EARLIEST, _LATEST = 0, 253_402_300_799


def invalid(name: str) -> TokenRejected:
    """The rejection of a claim whose value cannot be used."""
    return TokenRejected(Reason.CLAIM_INVALID, f"The claim {name} does not have the form it must have.")


def missing(name: str) -> TokenRejected:
    """The rejection of a token without a required claim."""
    return TokenRejected(Reason.CLAIM_MISSING, f"The claim {name} is missing.")


def number(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate in seconds: any JSON number (RFC 7519 section 2), so 1.5 is valid; true and "1" are not.

    A date outside the range of `datetime` becomes its nearest end, so that callers can convert it.
    """
    if name not in claims:
        return None
    value = claims[name]
    if type(value) not in (int, float):
        raise invalid(name)
    date: float = min(max(value, _EARLIEST), _LATEST)
    return date


def text(claims: Mapping[str, Any], name: str) -> str | None:
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, str):
        raise invalid(name)
    return value


def identifier(claims: Mapping[str, Any], name: str) -> str | None:
    value = text(claims, name)
    if value is not None and not _IDENTIFIER.fullmatch(value):
        raise invalid(name)
    return value


def texts(claims: Mapping[str, Any], name: str) -> list[str] | None:
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise invalid(name)
    return value
