"""How the kind of an event looks on a terminal, wherever a command shows events."""

from rich.text import Text

from entrypoints.cli.terminal import printable

_COLOURS = {"created": "green", "updated": "yellow", "deleted": "red", "revoked": "red"}


def kind_text(kind: str, width: int = 0) -> Text:
    """Return the kind in its colour, filled up to a width; a kind that is not ours has no colour."""
    return Text(printable(kind).ljust(width), _COLOURS.get(kind, ""))
