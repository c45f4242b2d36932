"""How options are read: numbers within bounds, points in time, and others whose parser raises ValueError."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from cyclopts import Parameter, Token

from entrypoints.cli.exit_codes import EX_USAGE
from entrypoints.cli.terminal import fail

T = TypeVar("T")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def between(least: float, most: float) -> Parameter:
    """Take a number from `least` to `most`, so not `inf`; a whole one for an `int`: cyclopts would round `1.5`."""

    def read(kind: type[float], tokens: Sequence[Token]) -> float:
        [token] = tokens
        try:
            number = kind(token.value)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            whole = "whole " if kind is int else ""
            raise ValueError(f"{token.value}: not a {whole}number from {least} to {most}")
        return number

    return Parameter(converter=read)


def moment(text: str, now_ms: int) -> int:
    """Return ms of a duration before `now_ms`, a date or a time (RFC 3339, else UTC), or raise ValueError."""
    if found := re.fullmatch(r"([0-9]{1,9})([smhd])", text):
        return max(0, now_ms - int(found[1]) * _SECONDS[found[2]] * 1000)
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0, int(at.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise ValueError("not a duration (24h, 7d), a date or a time (2026-11-23T10:00:00Z)") from None


def read_option(name: str, read: Callable[[], T]) -> T:
    """Return an option's value; ends the program when `read` raises ValueError."""
    try:
        return read()
    except ValueError as error:
        fail(f"{name}: {error}", EX_USAGE)
