"""The standard streams, so that a command need not ask whether they are open, full, or without a reader."""

import io
import os
import sys

_STANDARD = 3  # descriptors


class _Lossy(io.FileIO):
    def write(self, data: io.BytesIO | bytes, /) -> int:  # type: ignore[override]  # any buffer
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        try:
            return super().write(data) or size  # type: ignore[arg-type]  # None: it would have to wait
        except OSError:
            return size


def make_usable() -> None:
    """Replace closed streams by `/dev/null`, and let standard error lose what it does not take.

    A closed descriptor would be that of the next file or connection, into which what writes errors by number would
    write. Notes and logs are less than the work that is done: the exit status still tells what came of it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < _STANDARD:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Lossy(2, "w", closefd=False)),
        encoding=sys.stderr.encoding if sys.stderr else "utf-8",
        errors="backslashreplace",
        line_buffering=True,
    )
