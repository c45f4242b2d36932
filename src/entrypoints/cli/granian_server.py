"""Granian's server, with the four things that it does not offer.

A worker can be stopped from its first moment, a signal to the whole group is one stop, the end waits for the workers,
and a reload with wrong settings changes nothing.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import structlog
from granian.server import MPServer

from entrypoints.config.sources import ConfigurationError

_STOPS = (signal.SIGINT, signal.SIGTERM)

_SEEN_WITHIN_S = 1  # for the main process to handle a signal to the group that has ended a worker, if busy

log = structlog.get_logger("serve")


_block_stops = partial(signal.pthread_sigmask, signal.SIG_BLOCK, _STOPS)
_unblock_stops = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, _STOPS)


def _end_by_sigterm() -> None:
    """Let SIGTERM end a worker from its first moment, until its application's `GracefulShutdown` handles it.

    A forked worker has granian's handlers, which only note that the main process is to stop. SIGINT stays blocked until
    `GracefulShutdown` has ended: Ctrl-C reaches all processes, and the main one passes it on as SIGTERM.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _kill_all(workers: Iterable[Any]) -> None:
    for worker in workers:
        if worker.is_alive():
            log.warning("worker_killed", worker=worker.idx + 1)
            worker.kill()


class Server(MPServer):
    """On SIGHUP new workers read `.env` and `*_FILE` anew and replace the old ones, unless `can_begin` raises."""

    def __init__(self, target: str, *, can_begin: Callable[[], object], **options: Any) -> None:
        super().__init__(target, **options)
        self._can_begin = can_begin

    def startup(self, *arguments: Any) -> None:
        # A signal between the fork and the end of `_end_by_sigterm` would be lost.
        os.register_at_fork(before=_block_stops, after_in_parent=_unblock_stops, after_in_child=_end_by_sigterm)
        logging.getLogger("_granian").addFilter(self._is_no_stop)
        _block_stops()  # where workers are not forked they inherit this
        try:
            super().startup(*arguments)  # type: ignore[no-untyped-call]
        finally:
            _unblock_stops()

    def _is_no_stop(self, record: logging.LogRecord) -> bool:
        """Tell whether to log granian's record: a worker that ended before granian saw the signal is no error."""
        if record.levelno < logging.ERROR or os.getpid() != self.pid:
            return True
        until = time.monotonic() + _SEEN_WITHIN_S
        while not self.interrupt_signal and time.monotonic() < until:
            time.sleep(0.01)
        return not self.interrupt_signal

    def shutdown(self, exit_code: int = 0) -> None:
        # With a limit, granian asks once whether a worker has ended, perhaps before the thread that collects it has.
        workers: list[Any] = list(self.wrks)
        limit_s, self.workers_kill_timeout = self.workers_kill_timeout, None
        killing = threading.Timer(limit_s or threading.TIMEOUT_MAX, _kill_all, [workers])
        killing.daemon = True
        killing.start()
        try:
            super().shutdown(exit_code)  # type: ignore[no-untyped-call]
        except SystemExit:
            # A signal to the whole group may end a worker before the main process has seen it: that is no failure.
            if not self.interrupt_signal:
                raise
        finally:
            killing.cancel()

    def signal_handler_reload(self, *arguments: Any, **named: Any) -> None:
        try:
            self._can_begin()
        except ConfigurationError as error:  # new workers would end at once, and granian with them
            problems = [str(problem) for problem in error.problems]
            log.error("reload_failed", problems=problems)  # noqa: TRY400  # where it was raised says nothing more
        else:
            super().signal_handler_reload(*arguments, **named)  # type: ignore[no-untyped-call]
