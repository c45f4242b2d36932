"""The variables of a running `dev`, which the commands of a second terminal use."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values

from devkit.local.private_file import write_private
from entrypoints.config.loading import load_from
from entrypoints.config.sources import ConfigProblem, ConfigurationError, Development, found_variables

DATA_DIR = Path("var/dev")
NO_FILE = Path(os.devnull)

FILE = "dev.env"

S = TypeVar("S")


def variables(environment: Mapping[str, str] | None = None, env_file: Path | None = None) -> dict[str, str]:
    """Return what the environment and the environment file set, ready to be the environment of another process."""
    return {name: found.text for name, found in found_variables(environment, env_file, []).items()}


def write_environment(data_dir: Path, values: Mapping[str, str]) -> Path:
    """Write the file that other commands read while this `dev` runs; shells can read it too."""
    path = data_dir / FILE
    note = "# Written by `auth-service dev` at each start, for the commands of a second terminal.\n"
    write_private(path, note + assignments(values))
    return path


def assignments(values: Mapping[str, str]) -> str:
    """Return the lines of an environment file."""
    return "".join(f'{name}="{value}"\n' for name, value in values.items())


def running_dev(data_dir: Path = DATA_DIR) -> Development | None:
    """Return the variables of the `dev` that runs on a data folder; None when none runs: its servers are gone then.

    Raises:
        ConfigurationError: its file cannot be read.
    """
    if not is_locked(data_dir):
        return None
    file = data_dir / FILE
    try:
        return Development(settings_of_last_dev(data_dir), f"auth-service dev ({file})")
    except OSError as error:
        raise ConfigurationError(ConfigProblem(str(file), f"cannot be read ({error.strerror})")) from None


def load_beside_dev(settings_class: type[S], data_dir: Path) -> S:
    """Return a command's settings; what is set nowhere else comes from the `dev` that runs on this data folder.

    Raises:
        ConfigurationError: they cannot be used.
    """
    return load_from(settings_class, found_variables(developments=[lambda: running_dev(data_dir)]))


def is_locked(data_dir: Path) -> bool:
    """Tell whether a server runs on this folder now: it holds a lock on a file there."""
    import fcntl  # noqa: PLC0415  # missing on Windows, where no server of the devkit runs

    try:
        lock = os.open(data_dir / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def settings_of_last_dev(data_dir: Path) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(data_dir / FILE, interpolate=False).items() if value}
