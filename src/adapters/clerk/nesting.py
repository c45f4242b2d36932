"""Decodes JSON of any depth: what is too deep is never kept, so it is removed before decoding."""

import re
from typing import Any

import msgspec

from application.users.metadata_depth import MAX_METADATA_DEPTH

Json = bytes | str | msgspec.Raw

_DEEPEST = 2 * MAX_METADATA_DEPTH
"""Deeper than anything that is kept, its envelope included, so what was removed still counts as too deep."""

# A string, to its end or that of the text, whose brackets do not count; or a bracket.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


def decoded(text: Json, shape: Any) -> Any:
    """Decode JSON into `shape`, a type of msgspec's.

    msgspec also parses values that the shape leaves out, up to the interpreter's recursion limit: 1,000 on Python 3.11.
    Raises msgspec.DecodeError, UnicodeDecodeError: it is not JSON, or has another shape.
    """
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError:
        return msgspec.json.decode(_shallow(text.encode() if isinstance(text, str) else bytes(text)), type=shape)


def _shallow(text: bytes) -> bytes:
    """Replace each object and list deeper than `_DEEPEST` by null."""
    kept = bytearray()
    copied = depth = 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth == _DEEPEST + 1:
                    kept += text[copied : token.start()] + b"null"
            case b"]" | b"}":
                if depth == _DEEPEST + 1:
                    copied = token.end()
                depth -= 1
    if depth <= _DEEPEST:
        kept += text[copied:]
    return bytes(kept)
