"""Where log lines leave the process: standard error, written once a turn of the loop, and never waited for."""

import asyncio
import atexit
import os
import select
import stat
from collections import deque
from typing import TextIO

KEPT_BYTES = 1024 * 1024  # of unread lines; further ones are dropped, and counted in the first line after them

RETRY_S = 0.1
LAST_WAIT_MS = 1000  # for each page, when the process ends
_AT_ONCE = 4096  # what a pipe that is ready takes without blocking (POSIX: at least 512 bytes; Linux and macOS: a page)


class LogStream:
    """A stream that writes once a turn of the event loop: requests are answered in groups, and each write costs 7 µs.

    The reader of the lines may stall: a full pipe would block every request at its next line. A process that is
    killed outright loses the lines of that turn; one that fails or stops loses none while a reader is there.
    """

    def __init__(self, stream: TextIO, *, kept_bytes: int = KEPT_BYTES, retry_s: float = RETRY_S) -> None:
        self._stream = stream
        self._kept_bytes = kept_bytes
        self._retry_s = retry_s
        self._fd = _pipe_of(stream)
        self._lines: deque[str] = deque()
        self._left = bytearray()
        self._dropped = 0
        self._scheduled = False
        atexit.register(self._write, LAST_WAIT_MS)

    def write(self, line: str) -> None:
        self._lines.append(line)

    def flush(self) -> None:
        if self._scheduled:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
        else:
            self._scheduled = True
            loop.call_soon(self._write)

    def _write(self, wait_ms: int = 0) -> None:
        self._scheduled = False
        try:
            if self._fd is None:
                self._stream.write(self._taken())
                self._stream.flush()
            else:
                self._write_what_fits(self._fd, wait_ms)
        except (OSError, ValueError):  # gone or closed: no reader is left, and the service goes on
            self._left.clear()

    def _write_what_fits(self, pipe: int, wait_ms: int) -> None:
        if len(self._left) < self._kept_bytes:
            if self._dropped:
                self._left += b'{"level":"warning","event":"log_lines_dropped","count":%d}\n' % self._dropped
                self._dropped = 0
            self._left += self._taken().encode(errors="backslashreplace")
        else:
            self._dropped += len(self._lines)
            self._lines.clear()
        ready = select.poll()
        ready.register(pipe, select.POLLOUT)
        while self._left:
            if not ready.poll(wait_ms):
                self._again_later()
                return
            del self._left[: os.write(pipe, self._left[:_AT_ONCE])]

    def _taken(self) -> str:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())  # another thread may be adding one
        return "".join(lines)

    def _again_later(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the next line tries again
        self._scheduled = True
        loop.call_later(self._retry_s, self._write)


def _pipe_of(stream: TextIO) -> int | None:
    """Return the descriptor of a pipe or socket; a file or a terminal is written to as ever."""
    try:
        descriptor = stream.fileno()
    except (OSError, AttributeError):
        return None
    mode = os.fstat(descriptor).st_mode
    return descriptor if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None
