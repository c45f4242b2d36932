"""This program on a terminal: what it is called there, how wide it may write, and how it ends with a word."""

import shutil
import sys
from pathlib import Path
from typing import NoReturn

from rich.console import Console

WIDTH = 120


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


def console_for_stdout() -> Console:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that is not UTF-8 gets question marks, not a traceback
    console = Console(highlight=False)
    if not console.is_terminal or console.width > WIDTH:
        console.width = WIDTH
    return console


def fail(message: str, status: int) -> NoReturn:
    """End the program: `message` on stderr, and this exit status."""
    sys.stderr.write(f"{message}\n")
    sys.exit(status)


def printable(text: str) -> str:
    """Return the text without what steers a terminal: whoever may choose a name must not be able to."""
    return "".join(character if character.isprintable() else "?" for character in text)
