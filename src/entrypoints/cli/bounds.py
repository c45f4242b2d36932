"""Options that are numbers: each has both bounds, so that `inf` and what no server takes are refused."""

from collections.abc import Sequence

from cyclopts import Parameter, Token


def between(least: float, most: float) -> Parameter:
    """Take a number from `least` to `most`; a whole one for an `int`: cyclopts would round `1.5`."""

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
