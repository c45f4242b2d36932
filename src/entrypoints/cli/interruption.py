"""What SIGINT and SIGTERM do to a command that does not handle them itself: it ends soon, without a traceback.

Exit status: 128 and the signal's number, as shells have it. SIGTERM has a handler too: the kernel's own action is
missing for the first process of a container.

Until `end_at_once` Python has handlers of its own, so as little as possible is imported before it.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # `typing` takes longer to import than all of this; type checkers know the name
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

_CLEAN_UP_S = 1.5  # what a command may take to close its connections after SIGTERM, also where a server does not answer


def end_at_once() -> None:
    """From now on: nothing has begun, or everything is done."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    _handle(signal.SIGINT, _leave)
    _handle(signal.SIGTERM, _leave)


def end_in_order() -> None:
    """From now on: SIGINT raises KeyboardInterrupt, or cancels what `asyncio.run` runs; SIGTERM does the same."""
    _handle(signal.SIGINT, signal.default_int_handler)
    _handle(signal.SIGTERM, _interrupt)


def _handle(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`, or in the background of a script
        signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)  # an exception would become a traceback of whatever is being imported


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGALRM, lambda *_: _leave(number, None))
    signal.setitimer(signal.ITIMER_REAL, _CLEAN_UP_S)
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        raise SystemExit(128 + number)
    try:
        handler(signal.SIGINT, frame)
    except KeyboardInterrupt:
        raise SystemExit(128 + number) from None
