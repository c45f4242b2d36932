"""`auth-service config`: what is configured, and where."""

import json as json_
import sys

from attrs import asdict
from rich.text import Text

from entrypoints.cli.exit_codes import EX_CONFIG, EX_USAGE
from entrypoints.cli.output import flush, print_table
from entrypoints.cli.terminal import fail
from entrypoints.config.report import Configuration, effective
from entrypoints.config.settings.catalogue import COMMANDS, DEPLOYED
from entrypoints.config.sources import ConfigurationError, found_variables
from entrypoints.plugins import SETTINGS, plugged_in


def config(command: str | None = None, /, *, json: bool = False) -> None:
    """Show every variable's value, secrets masked, where it comes from, and which commands read it.

    Reads the environment, `.env` and the `auth-service dev` that runs here, as all commands do, and connects to
    nothing. Ends with 78 (EX_CONFIG) when something is wrong or missing, after naming all of it.

    Args:
        command: Show only what this command reads: `serve`, `relay`, … All of serve, relay and migrate if
            left out.
        json: One object, for other programs.
    """
    known = COMMANDS if command in COMMANDS else {**COMMANDS, **plugged_in(SETTINGS)}
    if command is not None and command not in known:
        fail(f"There is no command {command} that reads variables: {', '.join(known)}.", EX_USAGE)
    settings = [known[name] for name in (DEPLOYED if command is None else (command,))]
    try:
        found = effective(found_variables(), settings)
    except ConfigurationError as error:  # `.env` cannot be read
        found = Configuration(variables=[], problems=error.problems, suspects=[])
    if json:
        print(json_.dumps(asdict(found), indent=2))
    else:
        _print(found)
    sys.exit(EX_CONFIG if found.problems else 0)


def _print(found: Configuration) -> None:
    rows = []
    for variable in found.variables:
        style = "" if variable.value else "dim"
        need = ", ".join(variable.commands) + (" (required)" if variable.required else "")
        rows.append([Text(cell, style) for cell in (variable.name, variable.value, variable.source, need)])
    print_table(("variable", "value", "from", "read by"), rows, prose={"read by"})
    flush()
    for suspect in found.suspects:
        print(f"\n{suspect}", file=sys.stderr)
    if found.problems:
        print(f"\n{ConfigurationError(*found.problems)}", file=sys.stderr)
