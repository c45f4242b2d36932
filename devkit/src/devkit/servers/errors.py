"""The one error of the embedded servers."""

from pathlib import Path

_TAIL_LINES = 15


class EmbeddedStackError(Exception):
    """An embedded server cannot start or stop; the message says what happened and what to do.

    Args:
        what: What happened, one sentence.
        remedy: What to do about it, one sentence.
        log: The server's log, when it wrote one; its last lines become part of the message.
    """

    def __init__(self, what: str, remedy: str, *, log: Path | None = None) -> None:
        tail = log_tail(log) if log else ""
        if "No space left on device" in tail:
            remedy = "The disk is full: free some space and start again."
        shown = f"\nThe end of {log}:\n{tail}" if tail else ""
        super().__init__(f"{what}\n{remedy}{shown}")


def log_tail(log: Path) -> str:
    """The last lines of a log, indented, or nothing when there is no log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
