"""`auth-service demo`: a user's life on real servers."""

import logging
import sys
import time

import asyncpg
import httpx
from rich.console import Console
from rich.text import Text

from application.errors import ApplicationError
from devkit.demo.life import Life
from devkit.demo.screen import Scene, print_summary
from devkit.demo.stage import Stage, open_stage
from devkit.demo.steps import STEPS
from devkit.local.process import ProcessFailedError
from devkit.local.program import program
from devkit.servers.errors import EmbeddedStackError
from entrypoints.cli.exit_codes import EX_INTERRUPTED
from entrypoints.cli.terminal import console_for_stdout
from entrypoints.cli.until_signal import run_until_signal

FAULTS = (ApplicationError, ProcessFailedError, httpx.HTTPError, asyncpg.PostgresError, OSError, ValueError)
"""Errors of a step when the service or a server fails; ValueError: an answer is not JSON."""


def demo() -> None:
    """Play a user's life through a real PostgreSQL, a real Kafka and this service, and check every step.

    Needs no configuration, no Docker and no Clerk account. Uses free ports and a temporary folder, and leaves nothing
    behind. The first run downloads Kafka (45 MB). Ends with status 1 if a result is not as expected.
    """
    logging.basicConfig(level=logging.CRITICAL)  # the steps show what matters
    console = console_for_stdout()
    status = run_until_signal(_demo(console), on_signal=lambda: console.print("\nStopping ..."))
    sys.exit(EX_INTERRUPTED if status is None else status)


async def _demo(console: Console) -> int:
    began = time.monotonic()
    console.print(Text("auth-service demo: one user's life on real servers", style="bold"))
    scenes: list[Scene] = []
    try:
        async with open_stage(lambda line: console.print(Text(f"  {line}", style="dim"))) as stage:
            console.print(f"  Ready after {time.monotonic() - began:.1f} s")
            await _play(stage, console, scenes)
    except (EmbeddedStackError, *FAULTS) as error:
        console.print(Text(str(error), style="bold red"))
        return 1
    failed = len(scenes) < len(STEPS) or any(scene.differences for scene in scenes)
    console.print()
    print_summary(scenes)
    console.print(_verdict(scenes, failed=failed, seconds=time.monotonic() - began))
    if not failed:
        _say_what_next(console)
    return int(failed)


async def _play(stage: Stage, console: Console, scenes: list[Scene]) -> None:
    life = Life(stage)
    for number, step in enumerate(STEPS, start=1):
        scene = Scene(number, step.title, console)
        scenes.append(scene)
        scene.open(step.why)
        began = time.monotonic()
        try:
            await step.play(life, scene)
        except FAULTS as error:
            # The later steps build on this one.
            scene.differences.append(type(error).__name__)
            console.print(Text(f"✗ STOPPED  {type(error).__name__}: {error}", style="bold red"))
            for process in (stage.serve, stage.relay):
                console.print(Text(f"The end of the output of {process.name}:\n{process.tail}", style="red"))
            return
        finally:
            scene.close(time.monotonic() - began)


def _verdict(scenes: list[Scene], *, failed: bool, seconds: float) -> Text:
    checks = sum(scene.checks for scene in scenes)
    if failed:
        wrong = [scene.title for scene in scenes if scene.differences]
        return Text(f"✗ Other than expected: {', '.join(wrong)} ({seconds:.1f} s)", style="bold red")
    return Text(f"✓ All {checks} checks hold, in {seconds:.1f} s, servers started and stopped", style="bold green")


def _say_what_next(console: Console) -> None:
    name = program()
    console.print()
    console.print("What to try next", style="bold")
    for command, what in (
        (f"{name} dev", "all of it on this machine"),
        (f"{name} trigger user.created", "in a second terminal: be Clerk"),
        (f"{name} events tail --from-beginning", "in a third: be another service"),
    ):
        console.print(Text.assemble("  ", f"{command:<52}", (what, "dim")))
