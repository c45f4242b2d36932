"""Read untrusted JSON: bounded and strict."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Never


def _no_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 7519 section 4 lets a parser refuse repeated names or take the last one. Another reader of the
    # same token may take the first, so two services could see two different users: refuse.
    decoded = dict(pairs)
    if len(decoded) != len(pairs):
        raise ValueError("repeated member name")
    return decoded


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("number out of range")
    return number


def _not_json(constant: str) -> Never:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(object_pairs_hook=_no_repeated_names, parse_float=_finite, parse_constant=_not_json)
# Far more than tokens and key sets have, far less than the recursion limit of other decoders in this process.
_DEEPEST = 64
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


async def body_of(chunks: AsyncIterator[bytes], *, most: int) -> bytes | None:
    """The body of an answer; None if it is longer than `most` bytes."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)


def decoded_object(data: bytes, deepest: int = _DEEPEST) -> dict[str, Any] | None:
    """The JSON object in `data`, or None if it is anything else.

    Besides bad syntax it refuses text that is not UTF-8 (RFC 8259 section 8.1), repeated member names,
    NaN, Infinity and numbers that overflow, lone surrogates (they cannot be encoded again),
    and more than `deepest` levels of nesting.
    """
    try:
        text = str(data, "utf-8")
        value = _DECODER.decode(text)
        if _SURROGATE_ESCAPE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if text.count("[") + text.count("{") > deepest and _is_too_deep(value, deepest):
        return None
    return value


def _is_too_deep(value: Any, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return bool(level)
