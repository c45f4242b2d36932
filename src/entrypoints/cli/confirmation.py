"""The question before something is destroyed: on a terminal, unless `--yes`; without both it ends with EX_USAGE."""

import asyncio
import sys
from typing import Annotated

from cyclopts import Parameter

from entrypoints.cli.exit_codes import EX_USAGE
from entrypoints.cli.terminal import fail

Yes = Annotated[bool, Parameter(help="Do not ask first.", negative="")]


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `yes`; ends the program when the answer is no, or when there is no terminal."""
    if yes:
        return
    require_terminal(question)
    _write(question)
    if not _agrees(sys.stdin.readline()):
        fail("Nothing was done.", EX_USAGE)


def require_terminal(question: str) -> None:
    """End the program when there is no terminal to ask on."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stderr)):
        fail(f"{question} There is no terminal to ask on: confirm with --yes. Nothing was done.", EX_USAGE)


async def agreed(question: str) -> bool:
    """Ask in the middle of something; Ctrl-C can interrupt it, which it could not with a blocking read."""
    _write(question)
    loop, answer = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, answer.set)
    try:
        await answer.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return _agrees(sys.stdin.readline())


def _write(question: str) -> None:
    sys.stderr.write(f"{question} [y/N] ")  # standard output is for data
    sys.stderr.flush()


def _agrees(answer: str) -> bool:
    return answer.strip().lower() in {"y", "yes"}
