"""A server's data folder: the lock that lets one server at a time use it, and the space it needs."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from devkit.servers.errors import EmbeddedStackError

_STOPPING_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.02


@contextlib.contextmanager
def locked(data_dir: Path, name: str) -> Iterator[int]:
    """Take a data folder for one server, making it when new.

    Yields:
        The lock's file descriptor. The folder stays locked until all copies are closed: guard and server inherit it.

    Raises:
        EmbeddedStackError: Another server runs there, or the folder cannot be used.
    """
    with using(data_dir, name):
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with using(data_dir, name):
            _wait_for_lock(lock, data_dir, name)
            os.ftruncate(lock, 0)
        yield lock
    finally:
        os.close(lock)


@contextlib.contextmanager
def using(data_dir: Path, name: str) -> Iterator[None]:
    """Raise EmbeddedStackError about a data folder for every OSError: around what uses the folder, and nothing else."""
    try:
        yield
    except OSError as error:
        raise EmbeddedStackError(
            f"{name} cannot use the folder {data_dir}: {error.strerror or error} ({error.filename or data_dir}).",
            "Choose a folder that this user may write to, with space left (--data-dir), or remove it to start anew.",
        ) from error


def _wait_for_lock(lock: int, data_dir: Path, name: str) -> None:
    import fcntl  # noqa: PLC0415 - not on Windows, where `require_platform` explains

    deadline = time.monotonic() + _STOPPING_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A guard writes this when it ends its server: the next moment the folder is free.
            stopping = os.pread(lock, 8, 0) == b"stopping"
            if not stopping or time.monotonic() > deadline:
                raise EmbeddedStackError(
                    f"{name} is already running on {data_dir}, started by another process.",
                    "Stop that one first, or name another folder with --data-dir.",
                ) from None
            time.sleep(_POLL_SECONDS)
        else:
            return


def require_space(data_dir: Path, name: str, megabytes: int) -> None:
    """Raise EmbeddedStackError when the disk cannot take a new data folder, before a server fails halfway."""
    free = shutil.disk_usage(data_dir).free // 1_000_000
    if free < megabytes:
        raise EmbeddedStackError(
            f"{name} needs {megabytes} MB for new data, and the disk of {data_dir} has {free} MB left.",
            "Free some space, or name a folder on another disk with --data-dir.",
        )
