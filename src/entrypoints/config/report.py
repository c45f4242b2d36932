"""The configuration as it stands: each variable's value, where it comes from, and all that is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import NOTHING, fields, frozen

from entrypoints.config.loading import load_from
from entrypoints.config.masking import shown
from entrypoints.config.misspelled import Misspelled, misspelled
from entrypoints.config.settings.catalogue import Variable, all_variables, known_names
from entrypoints.config.sources import ConfigProblem, ConfigurationError, SourceValue, look_up

_NOTHING = (NOTHING, None, ())  # defaults that are none


@frozen(kw_only=True)
class Effective:
    """One variable as the commands read it."""

    name: str
    value: str  # masked, where it is a secret; empty where there is none or it is wrong
    source: str  # `environment`, `.env line 3`, `NAME_FILE (environment)`, `default` or `unset`
    required: bool
    commands: Sequence[str]


@frozen(kw_only=True)
class Configuration:
    variables: Sequence[Effective]
    problems: Sequence[ConfigProblem]
    suspects: Sequence[Misspelled]


def effective(found: Mapping[str, SourceValue], settings: Iterable[type]) -> Configuration:
    """Read what commands with these settings read."""
    settings = tuple(settings)
    groups = {attribute.type for one in settings for attribute in fields(one)}
    return Configuration(
        variables=[_effective(variable, found) for variable in all_variables() if variable.group in groups],
        problems=_problems(found, settings),
        suspects=list(misspelled(found, known_names())),
    )


def _effective(variable: Variable, found: Mapping[str, SourceValue]) -> Effective:
    try:
        entry = look_up(variable.name, found, in_file=variable.in_file)
        source = entry.origin if entry else "unset" if variable.default in _NOTHING else "default"
        value = variable.parse(entry.text) if entry else None if variable.required else variable.default
        text = shown(value)
    except (ConfigurationError, ValueError):  # the problems name it
        source = ", ".join(found[name].origin for name in (variable.name, f"{variable.name}_FILE") if name in found)
        text = ""
    return Effective(
        name=variable.name, value=text, source=source, required=variable.required, commands=variable.commands
    )


def _problems(found: Mapping[str, SourceValue], settings: Iterable[type]) -> list[ConfigProblem]:
    problems: dict[str, ConfigProblem] = {}
    for one in settings:
        try:
            load_from(one, found)
        except ConfigurationError as error:
            for problem in error.problems:
                problems.setdefault(problem.variable, problem)
    return list(problems.values())
