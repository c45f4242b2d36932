"""Granian's server, with the three things that it does not offer; the only module that uses its private attributes.

A worker can be stopped from its first moment, the end waits for the workers, and a reload with wrong settings changes
nothing.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from granian.server import MPServer

from entrypoints.config.sources import ConfigurationError

_STOPS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger("serve")


def work(*arguments: Any) -> None:
    """Run a worker, which SIGTERM stops from its first moment.

    A forked one has granian's handlers, which only note that the main process is to stop. SIGINT stays blocked until
    `GracefulShutdown` has ended: Ctrl-C reaches all processes, and the main one passes it on as SIGTERM.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until there is an application, whose `GracefulShutdown` handles it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    MPServer._spawn_asgi_lifespan_worker(*arguments)  # noqa: SLF001  # what `MPServer.serve` runs by default


@contextmanager
def _stops_blocked() -> Iterator[None]:
    """Block the signals that stop until the block ends; processes that are started meanwhile inherit this."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


class Server(MPServer):
    """On SIGHUP new workers read `.env` and `*_FILE` again and replace the old ones, unless they could not begin.

    Args:
        can_begin: raises ConfigurationError when new workers could not begin.
    """

    def __init__(self, target: str, *, can_begin: Callable[[], object], **options: Any) -> None:
        super().__init__(target, **options)
        self._can_begin = can_begin

    # A signal between the fork and `work` would be lost.
    _spawn_workers = _stops_blocked()(MPServer._spawn_workers)  # noqa: SLF001
    _respawn_workers = _stops_blocked()(MPServer._respawn_workers)  # noqa: SLF001

    def _stop_workers(self) -> None:
        """Wait here: granian asks once whether a worker has ended, perhaps before the thread that collects it has."""
        workers: list[Any] = self.wrks
        for worker in workers:
            worker.terminate()
        deadline = time.monotonic() + (self.workers_kill_timeout or math.inf)
        while time.monotonic() < deadline and any(worker.is_alive() for worker in workers):
            time.sleep(0.01)
        self.workers_kill_timeout = 1
        super()._stop_workers()  # type: ignore[no-untyped-call]

    def shutdown(self, exit_code: int = 0) -> None:
        try:
            super().shutdown(exit_code)  # type: ignore[no-untyped-call]
        except SystemExit:
            # A signal to the whole group may end a worker before the main process has seen it: that is no failure.
            if not self.interrupt_signal:
                raise

    def signal_handler_reload(self, *arguments: Any, **named: Any) -> None:
        try:
            self._can_begin()
        except ConfigurationError as error:  # new workers would end at once, and granian with them
            problems = [str(problem) for problem in error.problems]
            log.error("reload_failed", problems=problems)  # noqa: TRY400  # where it was raised says nothing more
        else:
            super().signal_handler_reload(*arguments, **named)  # type: ignore[no-untyped-call]
