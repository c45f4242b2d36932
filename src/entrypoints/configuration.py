"""Load a command's settings from the environment and `.env`, and report everything that is wrong at once."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typed_settings as ts
from attrs import fields, frozen, has
from dotenv import dotenv_values
from typed_settings.dict_utils import set_path
from typed_settings.loaders import Loader
from typed_settings.types import LoadedSettings, LoaderMeta, OptionInfo, OptionList, SettingsClass, SettingsDict

from entrypoints.settings import KafkaSettings, SecurityProtocol, TokenSettings

EX_CONFIG = 78
"""Exit status for a wrong configuration (BSD sysexits.h)."""

EX_UNAVAILABLE = 69
"""Exit status when something that a command needs is out of reach (BSD sysexits.h)."""

S = TypeVar("S")


@frozen
class Problem:
    """What is wrong with one variable; no text in it comes from a value."""

    variable: str
    what: str
    example: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.what}\n    for example {self.variable}={self.example}"


class ConfigurationError(Exception):
    """The settings cannot be used; its text names each variable and can be shown as it is."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"The configuration (environment or .env) is not usable:\n{listed}")


def load(settings_class: type[S], *, environment: Mapping[str, str] | None = None, env_file: Path = Path(".env")) -> S:
    """Return the settings of a command; the environment wins over `.env`, and an empty variable counts as unset.

    Raises:
        ConfigurationError: naming every variable that is missing or wrong.
    """
    loader = _loader(variables(environment, env_file))
    return ts.load_settings(settings_class, loaders=[loader], processors=[_parse], converter=_AsParsed())


def variables(environment: Mapping[str, str] | None = None, env_file: Path = Path(".env")) -> dict[str, str]:
    """Return what is set, by name: the environment over `.env`; an empty variable counts as unset.

    Raises:
        ConfigurationError: `.env` is there and cannot be read.
    """
    sources = (_from_file(env_file), os.environ if environment is None else environment)
    return {name: text for source in sources for name, value in source.items() if (text := value.strip())}


def variable_of(option_path: str) -> str:
    """`database.database_url` is read from DATABASE_URL: the group is ours, the name is the reader's."""
    return option_path.rpartition(".")[2].upper()


def _from_file(env_file: Path) -> dict[str, str]:
    try:
        found = dotenv_values(env_file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Problem(".env", f"cannot be read ({type(error).__name__})", "…")]) from None
    return {name: value for name, value in found.items() if value is not None}


def _loader(found_variables: Mapping[str, str]) -> Loader:
    def read(settings_cls: SettingsClass, options: OptionList) -> LoadedSettings:  # noqa: ARG001  # passed by name
        found: SettingsDict = {}
        for option in options:
            if value := found_variables.get(variable_of(option.path)):
                set_path(found, option.path, value)
        return LoadedSettings(found, LoaderMeta("environment"))

    return read


def _parse(settings_dict: SettingsDict, settings_cls: SettingsClass, options: OptionList) -> SettingsDict:
    """Replace texts by values: here, not in typed-settings' conversion, whose messages repeat the value."""
    problems: list[Problem] = []
    parsed: SettingsDict = {}
    for option in options:
        value = _lookup(settings_dict, option.path)
        if isinstance(value, str):
            try:
                value = option.metadata["parse"](value)
            except ValueError as error:
                problems.append(_problem(option, str(error)))
        elif value is None and option.has_no_default:
            problems.append(_problem(option, "missing"))
        set_path(parsed, option.path, value)
    if not problems:
        by_name = {option.name: option for option in options}
        problems = [_problem(by_name[name], what) for name, what in _contradictions(parsed, settings_cls)]
    if problems:
        raise ConfigurationError(problems)
    return parsed


def _lookup(found: Mapping[str, Any], path: str) -> Any:
    group, _, name = path.rpartition(".")
    return found.get(group, {}).get(name) if group else found.get(name)


def _problem(option: OptionInfo, what: str) -> Problem:
    return Problem(variable_of(option.path), what, option.metadata["example"])


def _contradictions(parsed: SettingsDict, settings_class: SettingsClass) -> list[tuple[str, str]]:
    """Name the variables that are wrong only together with others, and say what is wrong."""
    groups = {
        attribute.type: attribute.type(**parsed[attribute.name])
        for attribute in fields(settings_class)
        if attribute.type in (TokenSettings, KafkaSettings)
    }
    tokens, kafka = groups.get(TokenSettings), groups.get(KafkaSettings)
    if tokens and not (tokens.clerk_jwt_key or tokens.jwks_url):
        return [
            (
                "clerk_publishable_key",
                "missing; session tokens are verified with it, or else with CLERK_JWT_KEY or CLERK_JWKS_URL",
            )
        ]
    if kafka and kafka.kafka_security_protocol in (SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL):
        return [
            (name, f"missing; {kafka.kafka_security_protocol} needs it")
            for name in ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
            if getattr(kafka, name) is None
        ]
    return []


class _AsParsed:
    """typed-settings' converter, for values that are what they should be already."""

    def get_structure_hook(self, kind: Any) -> Any:
        raise KeyError(kind)

    def structure(self, value: Any, kind: Any) -> Any:
        if not has(kind) or not isinstance(value, dict):
            return value
        return kind(**{part.name: self.structure(value[part.name], part.type) for part in fields(kind)})
