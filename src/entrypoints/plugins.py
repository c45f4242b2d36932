"""What other distributions add to `auth-service`, found through entry points."""

from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any

COMMANDS = "auth_service.commands"  # tables of commands by name, in the form of `entrypoints.cli.main.COMMANDS`
SETTINGS = "auth_service.settings"  # tables of the settings that these commands read

ENVIRONMENT = "auth_service.environment"
"""Functions that return variables to use below the environment and `.env`, and where they come from; or None."""


def plugged_in(group: str) -> dict[str, Any]:
    """Return the entries of all tables of a group."""
    return {name: entry for plugin in installed(group) for name, entry in plugin.load().items()}


def developments() -> list[Any]:
    """Return the functions of `ENVIRONMENT`."""
    return [plugin.load() for plugin in installed(ENVIRONMENT)]


@cache  # the metadata of all distributions are read, 10 ms
def installed(group: str) -> EntryPoints:
    return entry_points(group=group)
