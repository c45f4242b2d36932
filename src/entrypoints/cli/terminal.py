"""How a command writes on a terminal, and how it ends with a message."""

import shutil
import sys
from typing import NoReturn

from rich.console import Console

_UNBOUNDED = 100_000  # columns: what rich does not wrap at


def on_terminal() -> bool:
    """Tell whether a person is looking at standard output."""
    return sys.stdout.isatty()


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let `main` end the program, as for every other print: rich would end it with status 1."""
        raise BrokenPipeError


def console_for_stdout() -> Console:
    """Return a console that neither wraps nor cuts, takes no text for markup, and has colours on a terminal only."""
    # FORCE_COLOR is often set for a whole CI job, where other programs read what we print.
    width = shutil.get_terminal_size().columns if on_terminal() else _UNBOUNDED  # rich would use COLUMNS=0
    return _Console(
        highlight=False, markup=False, emoji=False, soft_wrap=True, force_terminal=on_terminal(), width=width
    )


def console_for_progress() -> Console:
    """Return a console on stderr; it is a terminal only where there is one, whatever FORCE_COLOR says."""
    return Console(stderr=True, highlight=False, force_terminal=sys.stderr.isatty())


def fail(message: str, status: int) -> NoReturn:
    """End the program: `message` on stderr, and this exit status."""
    sys.stderr.write(f"{message}\n")
    sys.exit(status)


def printable(text: str) -> str:
    """Return the text without control characters, which could steer a terminal: names are chosen by users."""
    return "".join(character if character.isprintable() else "?" for character in text)
