"""Compare an expected value with the actual one, and name the places where they differ."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

_ABSENT = object()


@frozen
class Matching:
    """Stands for any text of a form."""

    name: str
    pattern: str

    def accepts(self, actual: object) -> bool:
        return isinstance(actual, str) and re.fullmatch(self.pattern, actual) is not None


ANY_UUID = Matching("a UUID", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ANY_TAG = Matching("a strong ETag", r'"[^"]+"')


def differences(expected: object, actual: object, *, at: str) -> list[str]:
    """Return one line for each place where the two differ; objects must have the same names, no more and no fewer."""
    return list(_differences(expected, actual, at))


def _differences(expected: object, actual: object, at: str) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for name in [*expected, *(name for name in actual if name not in expected)]:
            yield from _differences(expected.get(name, _ABSENT), actual.get(name, _ABSENT), f"{at}.{name}")
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from _differences(one, other, f"{at}[{number}]")
    elif isinstance(expected, Matching):
        if not expected.accepts(actual):
            yield f"{at}: expected {expected.name}, was {_shown(actual)}"
    # 1 == True in Python, and they are not the same in JSON.
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield f"{at}: expected {_shown(expected)}, was {_shown(actual)}"


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else json.dumps(value, default=str, ensure_ascii=False)
