"""Run something until it ends or a signal does."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any


def run_until_signal(main: Coroutine[Any, Any, int], *, on_signal: Callable[[], None]) -> int | None:
    """Run `main` and return its exit status; `None` when SIGINT or SIGTERM ended it.

    The first signal cancels `main`, which then cleans up; more of them change nothing, as each thing that is stopped
    is bounded in time.
    """
    return asyncio.run(_run(main, on_signal))


async def _run(main: Coroutine[Any, Any, int], on_signal: Callable[[], None]) -> int | None:
    task = asyncio.create_task(main)
    signalled = False

    def stop() -> None:
        nonlocal signalled
        if not signalled:
            signalled = True
            on_signal()
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        if not signalled:
            raise
        return None
