"""`auth-service config`: what is configured, and where."""

import json as json_
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import asdict
from rich.text import Text

from entrypoints.cli.exit_codes import EX_CONFIG, EX_USAGE
from entrypoints.cli.output import flush, print_table
from entrypoints.cli.terminal import fail
from entrypoints.config.loading import ReadVariable, groups_of, read
from entrypoints.config.masking import shown
from entrypoints.config.misspelled import misspelled
from entrypoints.config.settings.catalogue import COMMANDS, DEPLOYED, GROUPS, known_names
from entrypoints.config.sources import ConfigurationError, SourceValue, found_variables
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
    found: Mapping[str, SourceValue] = {}
    variables: list[dict[str, Any]] = []
    try:
        found = found_variables()
    except ConfigurationError as error:  # `.env` cannot be read
        problems = list(error.problems)
    else:
        wanted = {group for one in settings for group in groups_of(one).values()}
        reading = read([group for group in GROUPS if group in wanted], found)
        variables, problems = [_described(each) for each in reading.variables.values()], [*reading.problems.values()]
    suspects = [*misspelled(found, known_names())]
    if json:
        document = {"variables": variables, "problems": problems, "suspects": suspects}
        print(json_.dumps(document, indent=2, default=asdict))
    else:
        _print(variables)
        for suspect in suspects:
            print(f"\n{suspect}", file=sys.stderr)
        if problems:
            print(f"\n{ConfigurationError(*problems)}", file=sys.stderr)
    sys.exit(EX_CONFIG if problems else 0)


def _described(read: ReadVariable) -> dict[str, Any]:
    variable = read.variable
    return {
        "name": variable.name,
        "value": "" if read.problem else shown(read.value),
        "source": read.source,
        "required": variable.required,
        "commands": variable.commands,
    }


def _print(variables: Iterable[Mapping[str, Any]]) -> None:
    rows = []
    for variable in variables:
        style = "" if variable["value"] else "dim"
        need = ", ".join(variable["commands"]) + (" (required)" if variable["required"] else "")
        rows.append([Text(cell, style) for cell in (variable["name"], variable["value"], variable["source"], need)])
    print_table(("variable", "value", "from", "read by"), rows, prose={"read by"})
    flush()
