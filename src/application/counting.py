"""Numbers in sentences."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number and its noun: `1 user`, `1,200 users`; `plural` if it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
