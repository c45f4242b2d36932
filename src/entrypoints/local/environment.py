"""The settings of a running `dev`, for the commands of a second terminal."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values

from entrypoints.configuration import EX_CONFIG, ConfigurationError, found_variables, load_from
from entrypoints.embedded.data_dir import is_locked
from entrypoints.local.keys import write_private
from entrypoints.made_up import under
from entrypoints.settings import HttpSettings
from entrypoints.sources import Found, Problem

DATA_DIR = Path("var/dev")
NO_FILE = Path(os.devnull)

_FILE = "dev.env"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what to dial when a server listens there

S = TypeVar("S")


def load_beside_dev(settings_class: type[S], data_dir: Path) -> S:
    """Return a command's settings from the environment and `.env`, else from the `dev` that runs on `data_dir`.

    Ends the program when they are not usable, and says what to do.
    """
    try:
        return load_from(settings_class, found_beside_dev(data_dir))
    except ConfigurationError as error:
        instead = (
            ""
            if is_locked(data_dir)
            else (
                "Or start `auth-service dev`, whose settings are then used: none runs on "
                f"{data_dir} (--data-dir says where else).\n"
            )
        )
        sys.stderr.write(f"{error}\n{instead}")
        sys.exit(EX_CONFIG)


def found_beside_dev(data_dir: Path) -> dict[str, Found]:
    """Return what is set, and where, for every command: the environment, `.env`, and below them the running `dev`.

    A `dev` that has ended counts no more: its servers are gone, and its made-up secrets are for nobody.

    Raises:
        ConfigurationError: `.env` or the file of `dev` is there and cannot be read.
    """
    found = found_variables()
    if not is_locked(data_dir):
        return found
    file = data_dir / _FILE
    try:
        of_dev = settings_of_last_dev(data_dir)
    except OSError as error:
        raise ConfigurationError([Problem(str(file), f"cannot be read ({error.strerror})")]) from None
    texts = under({name: entry.text for name, entry in found.items()}, of_dev)
    return {name: found.get(name) or Found(text, f"auth-service dev ({file})") for name, text in texts.items()}


def export_from_dev(data_dir: Path) -> list[str]:
    """Put into the environment what only the running `dev` sets, for processes that read it again; return the names.

    Raises:
        ConfigurationError: as `found_beside_dev`.
    """
    configured = found_variables()
    shared = {name: entry.text for name, entry in found_beside_dev(data_dir).items() if name not in configured}
    os.environ.update(shared)
    return sorted(shared)


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
