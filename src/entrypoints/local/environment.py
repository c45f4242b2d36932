"""The settings of a running `dev`, for the commands of a second terminal."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values

from entrypoints.configuration import EX_CONFIG, ConfigurationError, found_variables, load, variables
from entrypoints.local.keys import write_private
from entrypoints.made_up import under
from entrypoints.settings import HttpSettings
from entrypoints.sources import Found

DATA_DIR = Path("var/dev")
NO_FILE = Path(os.devnull)

_FILE = "dev.env"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what to dial when a server listens there

S = TypeVar("S")


def load_beside_dev(settings_class: type[S], data_dir: Path) -> S:
    """Return a command's settings from the environment and `.env`, else from the `dev` that runs on `data_dir`.

    Ends the program when they are not usable, and says what to do.
    """
    of_dev = settings_of_last_dev(data_dir)
    try:
        return load(settings_class, environment=under(variables(), of_dev), env_file=NO_FILE)
    except ConfigurationError as error:
        instead = (
            ""
            if of_dev
            else (
                f"Or start `auth-service dev`, whose settings are then used: there is no {data_dir / _FILE} here "
                "(--data-dir says where else).\n"
            )
        )
        sys.stderr.write(f"{error}\n{instead}")
        sys.exit(EX_CONFIG)


def found_beside_dev(data_dir: Path) -> dict[str, Found]:
    """Return what is set, as `load_beside_dev` reads it.

    Raises:
        ConfigurationError: `.env` is there and cannot be read.
    """
    return found_variables(under(variables(), settings_of_last_dev(data_dir)), NO_FILE)


def base_url(settings: HttpSettings) -> str:
    """Return where a client on this machine finds the service."""
    host = _ANYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def settings_of_last_dev(data_dir: Path) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(data_dir / _FILE, interpolate=False).items() if value}


def write_for_second_terminal(data_dir: Path, values: Mapping[str, str]) -> Path:
    """Keep what other commands need to reach this `dev`; shells and dotenv libraries read the file alike."""
    path = data_dir / _FILE
    note = "# Written by `auth-service dev` at each start, for the commands of a second terminal.\n"
    write_private(path, note + assignments(values))
    return path


def assignments(values: Mapping[str, str]) -> str:
    """Return the lines of an environment file."""
    return "".join(f'{name}="{value}"\n' for name, value in values.items())
