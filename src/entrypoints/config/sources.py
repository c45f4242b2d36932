"""Where variables come from: the environment over `.env`, each by its value or by a file that holds it."""

import codecs
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attrs import evolve, field, frozen
from dotenv.parser import Binding, parse_stream

from entrypoints import plugins
from entrypoints.config import made_up

ENVIRONMENT = "environment"

ENV_FILE = "AUTH_SERVICE_ENV_FILE"
"""Variable that names the file to read in place of `.env`: `--env-file` sets it, for the processes of `serve` too."""


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


class ConfigurationError(Exception):
    """The settings cannot be used; its text names each variable and can be shown as it is."""

    def __init__(self, *problems: ConfigProblem) -> None:
        self.problems = problems
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"The configuration (environment or .env) is not usable:\n{listed}")


@frozen
class SourceValue:
    """The text of a variable that is set, and where it is set."""

    text: str = field(repr=False)
    origin: str
    file: Path | None = None  # the file that `NAME_FILE` names, if it is from one
    development: bool = False  # it comes from a running `dev`


@frozen
class Development:
    """What a running `dev` provides to the commands of a second terminal."""

    variables: Mapping[str, str] = field(repr=False)
    origin: str


FindDevelopment = Callable[[], Development | None]


def found_variables(
    environment: Mapping[str, str] | None = None,
    env_file: Path | None = None,
    developments: Sequence[FindDevelopment] | None = None,
) -> dict[str, SourceValue]:
    """Return what is set, by name: the environment over the environment file, over a `dev` that runs here.

    An empty variable counts as unset. Where sources are named here, or by `--env-file`, no `dev` is looked for. Raises
    ConfigurationError: a file cannot be read, or one that is named is not there.
    """
    named = os.environ.get(ENV_FILE)
    if named and env_file is None and not os.path.exists(named):  # noqa: PTH110  # Path's raises without the right to look
        raise ConfigurationError(ConfigProblem(ENV_FILE, "no such file"))
    found = _read(environment, env_file or Path(named or ".env"))
    if developments is None:
        default = environment is None and env_file is None and not named
        developments = plugins.developments() if default else []
    for find in developments:
        if (development := find()) is not None:
            texts = made_up.under({name: entry.text for name, entry in found.items()}, development.variables)
            found = {
                name: found.get(name) or SourceValue(text, development.origin, development=True)
                for name, text in texts.items()
            }
    return found


def _read(environment: Mapping[str, str] | None, env_file: Path) -> dict[str, SourceValue]:
    """Read the environment over an environment file.

    `NAME` and `NAME_FILE` are two ways to set one thing: either of them in the environment hides both in the file.
    Where the environment names a Clerk instance, nothing of Clerk's is taken from a file that `dev-keys` wrote.
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
    """Return a variable, or what `NAME_FILE` holds; ConfigurationError: both are set, or the file cannot be read."""
    direct, named = found.get(name), found.get(f"{name}_FILE") if in_file else None
    if named is None:
        return direct
    if direct is not None:
        what = f"set twice: {name} ({direct.origin}) and {name}_FILE ({named.origin}); keep one of them"
        raise ConfigurationError(ConfigProblem(name, what))
    from anomalyze_auth.kafka.credentials import read_secret  # noqa: PLC0415  # few variables are in files

    try:
        text = read_secret(Path(named.text))
    except ValueError as error:
        example = f"/run/secrets/{name.lower()}"
        raise ConfigurationError(ConfigProblem(f"{name}_FILE", str(error), example)) from None
    return evolve(named, text=text, origin=f"{name}_FILE ({named.origin})", file=Path(named.text))


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
    try:
        if env_file.is_dir() and not (env_file / "pyvenv.cfg").exists():  # some call a virtual environment `.env`
            what = "a folder, not a file (Docker creates one if the file to mount does not exist)"
            raise ConfigurationError(ConfigProblem(str(env_file), what))
        if not (env_file.is_file() or env_file.is_fifo()):
            return [], False
        text = env_file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(ConfigProblem(str(env_file), f"cannot be read ({error.strerror})")) from None
    except UnicodeDecodeError as error:
        is_utf16 = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # what PowerShell's `>` writes
        what = "it is UTF-16, save it as UTF-8" if is_utf16 else "it is not UTF-8"
        raise ConfigurationError(ConfigProblem(str(env_file), f"cannot be read: {what}")) from None
    bindings = [*parse_stream(io.StringIO(text, newline=None))]
    # A line that is skipped without a message may be the one that is missed.
    if bad := [str(_line(binding)) for binding in bindings if binding.error]:
        raise ConfigurationError(ConfigProblem(str(env_file), f"not NAME=value in line {', '.join(bad)}"))
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
