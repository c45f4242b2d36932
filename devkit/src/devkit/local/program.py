"""What this program is called on the terminal that it was started from."""

import shutil
import sys
from pathlib import Path


def program() -> str:
    """Return `auth-service`, or the path to it when the shell would not find this one by name."""
    started = Path(sys.argv[0])
    if started.name != "auth-service":
        return "auth-service"
    on_path = shutil.which("auth-service")
    if on_path and Path(on_path).resolve() == started.resolve():
        return "auth-service"
    here = Path.cwd()
    return str(started.absolute().relative_to(here) if started.absolute().is_relative_to(here) else started.absolute())
