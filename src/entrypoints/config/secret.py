"""A value that is not printed by accident."""

from pathlib import Path
from typing import Any, Generic, Never, TypeVar

T = TypeVar("T")


class Secret(Generic[T]):
    """Masked in every text: only `get_secret_value` returns it. Pickling raises TypeError."""

    def __init__(self, value: T, file: Path | None = None) -> None:
        self._value = value
        self.file = file
        """Where it was read from, for what reads it again when it changes; None when it was not in a file."""

    def get_secret_value(self) -> T:
        return self._value

    def __repr__(self) -> str:
        return "Secret('*******')"

    def __str__(self) -> str:
        return "*******"

    def __reduce_ex__(self, protocol: Any) -> Never:
        raise TypeError("a secret is not written out")

    def __copy__(self) -> "Secret[T]":
        return self

    def __deepcopy__(self, memo: Any) -> "Secret[T]":
        return self


def revealed(secret: Secret[T] | None) -> T | None:
    """Return the value for the one part that needs it; None where nothing is configured."""
    return None if secret is None else secret.get_secret_value()
