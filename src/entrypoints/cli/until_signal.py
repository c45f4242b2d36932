"""Run something until it ends or a signal does."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any


def run_until_signal(main: Coroutine[Any, Any, int], *, on_signal: Callable[[], None]) -> int | None:
    """Run `main` and return its exit status; `None` when SIGTERM ended it. Raises KeyboardInterrupt when SIGINT did.

    The first signal cancels `main`, which then cleans up; more of them change nothing, as each thing that is stopped is
    bounded in time.
    """
    signals: list[int] = []
    status = asyncio.run(_run(main, on_signal, signals))
    if status is None and signals[0] == signal.SIGINT:
        raise KeyboardInterrupt
    return status


async def _run(main: Coroutine[Any, Any, int], on_signal: Callable[[], None], signals: list[int]) -> int | None:
    task = asyncio.create_task(main)

    def stop(number: int) -> None:
        signals.append(number)
        if len(signals) == 1:
            task.cancel()
            on_signal()  # it may fail: in `dev | tee log`, Ctrl-C ends tee as well

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not signals:
            raise
        return None
