"""What a client accepts, by its `Accept` and `Accept-Encoding` (RFC 9110, section 12.5)."""

import re
from collections.abc import Iterable

_WEIGHT = re.compile(r"q=(0(\.\d{0,3})?|1(\.0{0,3})?)")


def preference(lines: Iterable[str], *ranges: str) -> tuple[float, int]:
    """Return how much a client wants something: the quality, 0 to 1, and how exactly it is named.

    Litestar's `Accept` takes `application/json;q=0` for a wish.

    Args:
        lines: the field's, of which there may be several; an entry whose weight cannot be read does not count.
        ranges: what may stand for it there, the most exact first: `text/html`, `text/*`, `*/*`.
    """
    weights: dict[str, float] = {}
    for entry in ",".join(lines).lower().split(","):
        name, *parameters = ["".join(part.split()) for part in entry.split(";")]
        weight = next((each for each in parameters if each.startswith("q=")), "q=1")
        if _WEIGHT.fullmatch(weight):
            weights[name] = float(weight.removeprefix("q="))
    for exactness, name in zip(range(len(ranges), 0, -1), ranges, strict=True):
        if name in weights:
            return (weights[name], exactness) if weights[name] else (0.0, 0)
    return 0.0, 0
