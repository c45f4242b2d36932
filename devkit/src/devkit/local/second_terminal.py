"""What `dev` writes down for the commands of a second terminal: `entrypoints.config.dev_environment` reads it."""

from collections.abc import Mapping
from pathlib import Path

from devkit.local.keys import write_private
from entrypoints.config.dev_environment import FILE


def write_for_second_terminal(data_dir: Path, values: Mapping[str, str]) -> Path:
    """Keep what other commands need to reach this `dev`; shells and dotenv libraries read the file alike."""
    path = data_dir / FILE
    note = "# Written by `auth-service dev` at each start, for the commands of a second terminal.\n"
    write_private(path, note + assignments(values))
    return path


def assignments(values: Mapping[str, str]) -> str:
    """Return the lines of an environment file."""
    return "".join(f'{name}="{value}"\n' for name, value in values.items())
