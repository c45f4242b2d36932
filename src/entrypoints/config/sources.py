"""Where variables come from: the environment over `.env`, each named outright or by a file that holds it."""

import codecs
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import field, frozen
from dotenv.parser import Binding, parse_stream

from entrypoints.config import made_up

ENV_FILE = Path(".env")
ENVIRONMENT = "environment"


_LOWER_FIRST = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
"""Read in lower case too, which goes first, as in curl and in Python's own library."""


@frozen
class ConfigProblem:
    """What is wrong with one variable; no text in it comes from a value."""

    variable: str
    what: str
    example: str = ""

    def __str__(self) -> str:
        example = f"\n    for example {self.variable}={self.example}" if self.example else ""
        return f"{self.variable}: {self.what}{example}"


class SourceError(Exception):
    """A variable's text cannot be told."""

    def __init__(self, problem: ConfigProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@frozen
class SourceValue:
    """A variable that is set: its text, and where."""

    text: str = field(repr=False)
    origin: str
    file: Path | None = None
    """The file that `NAME_FILE` names, if it is from one."""


def read(environment: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> dict[str, SourceValue]:
    """Return what is set, by name: the environment over `.env`; an empty variable counts as unset.

    `NAME` and `NAME_FILE` are two ways to say one thing: either of them in the environment hides both in `.env`.
    Where the environment names a Clerk instance, nothing of Clerk's is taken from a `.env` that `dev-keys` wrote.

    Raises:
        SourceError: `.env` is there and cannot be read.
    """
    entries, is_made_up = _entries(env_file)
    found = _set_in(entries)
    variables = os.environ if environment is None else environment
    above = _set_in((name, value, ENVIRONMENT) for name, value in variables.items())
    if is_made_up:
        texts = [{name: entry.text for name, entry in part.items()} for part in (above, found)]
        kept = made_up.under(*texts)
        found = {name: entry for name, entry in found.items() if name in kept}
    for name in above:
        found.pop(f"{name}_FILE", None)
        found.pop(name.removesuffix("_FILE"), None)
    return found | above


def look_up(name: str, found: Mapping[str, SourceValue], *, in_file: bool) -> SourceValue | None:
    """Return a variable, read from the file that `NAME_FILE` names where that is allowed.

    Raises:
        SourceError: both are set, or the file cannot be read.
    """
    direct, named = found.get(name), found.get(f"{name}_FILE") if in_file else None
    if named is None:
        return direct
    if direct is not None:
        what = f"set twice: {name} ({direct.origin}) and {name}_FILE ({named.origin}); keep one of them"
        raise SourceError(ConfigProblem(name, what))
    from anomalyze_auth.kafka.credentials import read_secret  # noqa: PLC0415  # few variables are in files

    try:
        text = read_secret(Path(named.text))
    except ValueError as error:
        example = f"/run/secrets/{name.lower()}"
        raise SourceError(ConfigProblem(f"{name}_FILE", str(error), example)) from None
    return SourceValue(text, f"{name}_FILE ({named.origin})", Path(named.text))


def _set_in(entries: Iterable[tuple[str, str, str]]) -> dict[str, SourceValue]:
    found = {_name(name): SourceValue(text, origin) for name, value, origin in entries if (text := value.strip())}
    for name in _LOWER_FIRST:
        if lower := found.pop(name.lower(), None):
            found[name] = lower
    return found


def _name(name: str) -> str:
    """Return the name without what `docker --env-file` and its like leave of a file that was written for a shell."""
    return name.removeprefix("\ufeff").removeprefix("export ").strip()


def _entries(env_file: Path) -> tuple[list[tuple[str, str, str]], bool]:
    """Return the lines of an environment file, and whether it holds keys that were made up."""
    if not (env_file.is_file() or env_file.is_fifo()):
        return [], False
    try:
        text = env_file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SourceError(ConfigProblem(".env", f"cannot be read ({error.strerror})")) from None
    except UnicodeDecodeError as error:
        raise SourceError(ConfigProblem(".env", f"cannot be read: {_encoding(error.object)}")) from None
    bindings = [*parse_stream(io.StringIO(text, newline=None))]
    # A line that is passed over in silence may be the secret that everybody looks for.
    if bad := [str(_line(binding)) for binding in bindings if binding.error]:
        raise SourceError(ConfigProblem(".env", f"not NAME=value in line {', '.join(bad)}"))
    entries = [
        (binding.key, binding.value, f"{env_file} line {_line(binding)}")
        for binding in bindings
        if binding.key is not None and binding.value is not None
    ]
    return entries, bool(bindings) and bindings[0].original.string.startswith(made_up.NOTE)


def _line(binding: Binding) -> int:
    """Return where it begins, from 1: empty lines above it are part of what the parser calls its original."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _encoding(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # what PowerShell's `>` writes
        return "it is UTF-16, save it as UTF-8"
    return "it is not UTF-8"
