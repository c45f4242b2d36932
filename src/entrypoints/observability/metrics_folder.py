"""Where the workers of one `serve` keep their numbers, for Prometheus to see them added up."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from entrypoints.config.sources import ConfigProblem, ConfigurationError

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus-client, when it is imported

_PREFIX = "auth-service-metrics-"
_LOCK = "in-use"
_IN_MEMORY = "/dev/shm"  # noqa: S108  # where Linux, and each container, has a file system in memory


@contextmanager
def metrics_folder(in_memory: str = _IN_MEMORY) -> Iterator[None]:
    """Make a folder for workers, and remove those that killed services left; ConfigurationError: none can be made."""
    folder = _new_folder(in_memory)
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        # A lock, not a process id: it ends with its holder, and means the same in every container that shares the disk.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for other in folder.parent.glob(f"{_PREFIX}*"):
            if other != folder:
                _remove_if_left_behind(other)
        os.environ[VARIABLE] = str(folder)
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _new_folder(in_memory: str) -> Path:
    """Make it among the temporary files, or in memory: a container's disk may be read-only."""
    reason = ""
    for parent in (None, in_memory):
        try:
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        except OSError as error:
            reason = error.strerror or str(error)
    what = (
        f"several workers keep their metrics in a folder, and none can be made ({reason}): "
        f"set TMPDIR to a folder that can be written, mount one at {in_memory}, or run one worker"
    )
    raise ConfigurationError(ConfigProblem("WEB_CONCURRENCY", what))


def _remove_if_left_behind(folder: Path) -> None:
    # Another user's folder, one that goes at this moment, one that is not locked yet: let it be.
    with suppress(OSError):
        lock = os.open(folder / _LOCK, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
