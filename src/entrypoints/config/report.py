"""The configuration as it stands: each variable's value, where it comes from, and all that is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from entrypoints.config.loading import ReadVariable, groups_of, read
from entrypoints.config.masking import shown
from entrypoints.config.misspelled import Misspelled, misspelled
from entrypoints.config.settings.catalogue import GROUPS, known_names
from entrypoints.config.sources import ConfigProblem, SourceValue


@frozen(kw_only=True)
class Effective:
    """One variable as the commands read it."""

    name: str
    value: str  # masked, where it is a secret; empty where there is none or it is wrong
    source: str  # see `ReadVariable`
    required: bool
    commands: Sequence[str]


@frozen(kw_only=True)
class Configuration:
    variables: Sequence[Effective]
    problems: Sequence[ConfigProblem]
    suspects: Sequence[Misspelled]


def effective(found: Mapping[str, SourceValue], settings: Iterable[type]) -> Configuration:
    """Read what commands with these settings read."""
    wanted = {group for one in settings for group in groups_of(one).values()}
    reading = read([group for group in GROUPS if group in wanted], found)
    return Configuration(
        variables=[_effective(each) for each in reading.variables.values()],
        problems=[*reading.problems.values()],
        suspects=list(misspelled(found, known_names())),
    )


def _effective(read: ReadVariable) -> Effective:
    variable = read.variable
    return Effective(
        name=variable.name,
        value="" if read.problem else shown(read.value),
        source=read.source,
        required=variable.required,
        commands=variable.commands,
    )
