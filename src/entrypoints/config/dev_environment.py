"""The settings of a running `dev`, for the commands of a second terminal."""

import os
import sys
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values

from entrypoints.cli.exit_codes import EX_CONFIG
from entrypoints.config.loading import ConfigurationError, found_variables, load_from
from entrypoints.config.made_up import under
from entrypoints.config.settings import HttpSettings
from entrypoints.config.sources import ConfigProblem, SourceValue

DATA_DIR = Path("var/dev")
NO_FILE = Path(os.devnull)

FILE = "dev.env"
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


def found_beside_dev(data_dir: Path) -> dict[str, SourceValue]:
    """Return what is set, and where, for every command: the environment, `.env`, and below them the running `dev`.

    A `dev` that has ended counts no more: its servers are gone, and its made-up secrets are for nobody.

    Raises:
        ConfigurationError: `.env` or the file of `dev` is there and cannot be read.
    """
    found = found_variables()
    if not is_locked(data_dir):
        return found
    file = data_dir / FILE
    try:
        of_dev = settings_of_last_dev(data_dir)
    except OSError as error:
        raise ConfigurationError([ConfigProblem(str(file), f"cannot be read ({error.strerror})")]) from None
    texts = under({name: entry.text for name, entry in found.items()}, of_dev)
    return {name: found.get(name) or SourceValue(text, f"auth-service dev ({file})") for name, text in texts.items()}


def export_from_dev(data_dir: Path) -> list[str]:
    """Put into the environment what only the running `dev` sets, for processes that read it again; return the names.

    Raises:
        ConfigurationError: as `found_beside_dev`.
    """
    configured = found_variables()
    shared = {name: entry.text for name, entry in found_beside_dev(data_dir).items() if name not in configured}
    os.environ.update(shared)
    return sorted(shared)


def is_locked(data_dir: Path) -> bool:
    """Tell whether a server runs on this folder now: it holds a lock on a file there."""
    import fcntl  # noqa: PLC0415  # not on Windows, where nothing of ours runs on a folder

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


def base_url(settings: HttpSettings) -> str:
    """Return where a client on this machine finds the service."""
    host = _ANYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def settings_of_last_dev(data_dir: Path) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(data_dir / FILE, interpolate=False).items() if value}
