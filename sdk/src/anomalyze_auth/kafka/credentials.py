"""Secrets that are read again from their file, so that a rotation needs no restart."""

import codecs
import logging
from pathlib import Path

from anomalyze_auth.kafka.values import line

_LOG = logging.getLogger(__name__)
_LARGEST_BYTES = 64 * 1024  # larger than any secret; smaller than a log file or device that was named by mistake


class Credential:
    """A secret: a text, or the current content of a file. Never in a repr.

    Args:
        text: the secret; with a file, its content when it was checked.
        file: the file to read again.
        name: the variable, for log messages.
    """

    def __init__(self, text: str, file: Path | None = None, *, name: str = "") -> None:
        self._text = text
        self._file = file
        self._name = name
        self._problem: str | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credential) and (self._text, self._file) == (other._text, other._file)

    __hash__ = None  # type: ignore[assignment]  # a secret may change

    def read(self) -> str:
        """The current secret; while its file is unusable, the last one that was read, with one log line."""
        if self._file is None:
            return self._text
        try:
            text = line(read_secret(self._file))
        except ValueError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _LOG.warning("%s_FILE: %s; the last secret that was read stays in use", self._name, error)
        else:
            self._text, self._problem = text, None
        return self._text


def read_secret(path: Path) -> str:
    """The text in a file, without its last line end; ValueError: why not, repeating neither path nor content."""
    try:
        if not path.is_file():
            raise ValueError("no such file" if not path.exists() else "not a regular file")
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from None
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"the file is larger than {_LARGEST_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # what PowerShell's `>` writes
        what = "it is UTF-16, save it as UTF-8" if utf_16 else "it is not UTF-8"
        raise ValueError(f"the file cannot be read: {what}") from None
    if not text.strip():
        raise ValueError("the file is empty")
    return text
