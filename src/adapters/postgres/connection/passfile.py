"""Passwords in a file, as libpq reads them (PostgreSQL documentation, "The Password File")."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

_FIELD = re.compile(r"((?:[^:\\]|\\.)*)(?::|$)")
_SOCKET_HOST = "localhost"  # what a Unix socket in a default folder is called in such a file


def password_for(named: str | None, addresses: Sequence[tuple[str, int]], database: str, user: str) -> str:
    """Return the first password whose line matches, else ""; ValueError: the `named` file cannot be used."""
    path = Path(named) if named else Path(os.environ.get("HOME", "/"), ".pgpass")
    try:
        lines = _lines(path)
    except ValueError as error:
        if named:
            raise ValueError(f"passfile {error}") from None
        return ""
    return next(_fitting(lines, addresses, database, user), "")


def _lines(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError("may be read by others, so it is not used: chmod 0600")
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ValueError("does not exist") from None
    except PermissionError:
        raise ValueError("may not be read by this process") from None
    except (OSError, UnicodeDecodeError):
        raise ValueError("cannot be read") from None


def _fitting(lines: Sequence[str], addresses: Sequence[tuple[str, int]], database: str, user: str) -> Iterator[str]:
    for line in lines:
        if line.startswith("#"):
            continue
        fields, rest = [], line
        for _ in range(4):
            match = _FIELD.match(rest)
            fields.append(match[1] if match else "")
            rest = rest[match.end() :] if match else ""
        for host, port in addresses:
            names = (_SOCKET_HOST if host.startswith("/") else host, str(port), database, user)
            if all(given == "*" or _plain(given) == name for given, name in zip(fields, names, strict=True)):
                yield _plain(rest)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
