"""`auth-service config`: what is configured, and where."""

import json as json_
import sys

from attrs import asdict
from rich.table import Table
from rich.text import Text

from entrypoints.configuration import EX_CONFIG, EX_USAGE, ConfigurationError, found_variables
from entrypoints.effective import Configuration, effective
from entrypoints.local.program import console_for_stdout, fail
from entrypoints.settings.catalogue import COMMANDS, DEPLOYED


def config(command: str | None = None, /, *, json: bool = False) -> None:
    """Show every variable's value, secrets masked, where it comes from, and which commands read it.

    Reads the environment and `.env`, as the commands do, and connects to nothing. Ends with 78 (EX_CONFIG) when
    something is wrong or missing, after naming all of it.

    Parameters
    ----------
    command
        Look at what this command reads, and no more: `serve`, `relay`, … All of serve, relay and migrate if left out.
    json
        One object, for other programs.
    """
    if command is not None and command not in COMMANDS:
        fail(f"There is no command {command} that reads variables: {', '.join(COMMANDS)}.", EX_USAGE)
    commands = DEPLOYED if command is None else (command,)
    try:
        found = effective(found_variables(), commands)
    except ConfigurationError as error:  # `.env` cannot be read
        found = Configuration(variables=[], problems=error.problems, suspects=[])
    if json:
        print(json_.dumps(asdict(found), indent=2))
    else:
        _print(found)
    sys.exit(EX_CONFIG if found.problems else 0)


def _print(found: Configuration) -> None:
    console = console_for_stdout()
    table = Table("variable", "value", "from", "read by", box=None, pad_edge=False)
    for variable in found.variables:
        style = "" if variable.value else "dim"
        need = ", ".join(variable.commands)
        cells = (variable.name, variable.value, variable.source, f"{need} (required)" if variable.required else need)
        table.add_row(*(Text(cell, style=style, overflow="fold") for cell in cells))
    console.print(table)
    for suspect in found.suspects:
        console.print(Text(f"\n{suspect}", style="yellow"))
    if found.problems:
        console.print(Text.assemble("\n", str(ConfigurationError(found.problems))), soft_wrap=True)
