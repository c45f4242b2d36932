"""What other distributions add to `auth-service`: tables by the command's name, found through entry points."""

from importlib.metadata import entry_points
from typing import Any

COMMANDS = "auth_service.commands"
"""Where a command is and what it does, as in `entrypoints.cli.main`."""

SETTINGS = "auth_service.settings"
"""The settings that a command reads."""


def plugged_in(group: str) -> dict[str, Any]:
    """Return the entries of all tables of a group."""
    return {name: entry for plugin in entry_points(group=group) for name, entry in plugin.load().items()}
