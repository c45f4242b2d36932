"""Load a command's settings, and report everything that is wrong at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import NOTHING, fields, fields_dict, frozen, has

from entrypoints.config.clerk_values import kind_of
from entrypoints.config.secret import Secret
from entrypoints.config.settings import ClerkApiSettings, KafkaSettings, TokenSettings, asks_backend_api
from entrypoints.config.settings.catalogue import Variable, variables_of
from entrypoints.config.settings.kafka import contradictions, unsupported, unused
from entrypoints.config.sources import ConfigProblem, ConfigurationError, SourceValue, found_variables, look_up
from entrypoints.config.written import explain

S = TypeVar("S")

_NO_VALUE = (NOTHING, None, ())  # defaults that are none


@frozen(kw_only=True)
class ReadVariable:
    """A variable as it was read."""

    variable: Variable
    value: Any  # the default where it is not set, the text where that was refused
    source: str  # `environment`, `.env line 3`, `NAME_FILE (environment)`, `default` or `unset`
    problem: ConfigProblem | None = None


@frozen(kw_only=True)
class Reading:
    """What the variables of some groups say, and everything that is wrong with them."""

    variables: Mapping[str, ReadVariable]  # by field
    problems: Mapping[str, ConfigProblem]  # by field, or by name where a variable is no field of ours
    usable: Mapping[type, Any]  # groups in which nothing is wrong; two of them may still not go together


def load(settings_class: type[S], *, environment: Mapping[str, str] | None = None, env_file: Path | None = None) -> S:
    """Return a command's settings, or a group's, or raise ConfigurationError: it names all that is missing or wrong."""
    return load_from(settings_class, found_variables(environment, env_file))


def load_from(settings_class: type[S], found: Mapping[str, SourceValue]) -> S:
    """See `load`."""
    of_command = groups_of(settings_class)
    reading = read([*of_command.values()] or [settings_class], found)
    if reading.problems:
        raise ConfigurationError(*reading.problems.values())
    if not of_command:
        return cast("S", reading.usable[settings_class])
    return settings_class(**{name: reading.usable[group] for name, group in of_command.items()})


def groups_of(settings_class: type) -> dict[str, type]:
    """Return a command's groups by name; none for what is a group itself."""
    return {part.name: part.type for part in fields(settings_class) if has(cast("Any", part.type))}


def read(groups: Sequence[type], found: Mapping[str, SourceValue]) -> Reading:
    """Read all variables of these groups; nothing is raised."""
    variables = {each.field: _read(each, found) for group in groups for each in variables_of(group)}
    parts = {group: group(**{field: variables[field].value for field in fields_dict(group)}) for group in groups}
    problems = {field: each.problem for field, each in variables.items() if each.problem}
    refused = {*problems}

    def note(wrong: Iterable[tuple[str, str]]) -> None:
        for field, what in wrong:
            variable = variables[field].variable
            problems.setdefault(field, ConfigProblem(variable.name, what, variable.example))

    for group, contradictions_of in _CONTRADICTIONS.items():
        if group in parts:
            note(contradictions_of(parts[group], refused))
    usable = {group: part for group, part in parts.items() if not problems.keys() & fields_dict(group).keys()}
    note(_test_hosts_beside_live_keys(variables))
    if TokenSettings in usable and ClerkApiSettings in usable:
        note(_mixed_instances(usable[TokenSettings], usable[ClerkApiSettings]))
    if KafkaSettings in parts:
        useless = [*unsupported(found), *(unused(found, parts[KafkaSettings]) if KafkaSettings in usable else ())]
        problems |= {each.variable: each for each in useless}
        if useless:
            usable.pop(KafkaSettings, None)
    return Reading(variables=variables, problems=problems, usable=usable)


def _read(variable: Variable, found: Mapping[str, SourceValue]) -> ReadVariable:
    value = None if variable.required else variable.default
    source = "unset" if variable.default in _NO_VALUE else "default"
    problem = ConfigProblem(variable.name, "missing", variable.example) if variable.required else None
    try:
        if entry := look_up(variable.name, found, in_file=variable.in_file):
            value, source, problem = entry.text, entry.origin, None
            value = variable.parse(entry.text)
            value = Secret(value.get_secret_value(), entry.file) if isinstance(value, Secret) else value
    except ConfigurationError as error:
        [problem] = error.problems
        source = ", ".join(found[name].origin for name in (variable.name, f"{variable.name}_FILE") if name in found)
    except ValueError as error:
        problem = ConfigProblem(variable.name, explain(variable.name, str(value), str(error)), variable.example)
    return ReadVariable(variable=variable, value=value, source=source, problem=problem)


def _mixed_instances(tokens: TokenSettings, api: ClerkApiSettings) -> Iterator[tuple[str, str]]:
    """Name the fields of `tokens` that do not go together with how the Backend API is asked, and say why."""
    secret_key = api.clerk_secret_key.get_secret_value() if api.clerk_secret_key else ""
    if asks_backend_api(tokens, api) and not (secret_key or tokens.clerk_jwt_key):
        what = (
            "the Backend API shows its keys to the holder of CLERK_SECRET_KEY, which is not set: set it, or set "
            "CLERK_PUBLISHABLE_KEY alone, from which the address of the public keys follows"
        )
        yield "clerk_jwks_url", what
    publishable_key = tokens.clerk_publishable_key
    if secret_key and publishable_key and publishable_key.kind != kind_of(secret_key):
        kinds = f"of a {publishable_key.kind} instance, and CLERK_SECRET_KEY of a {kind_of(secret_key)} one"
        yield "clerk_publishable_key", f"{kinds}; take both from one instance"
    if not (tokens.issuer or "").startswith("http://"):
        return
    # No issuer of Clerk's is without TLS: this is the stand-in's, or what `dev-keys` made up.
    beside = []
    if secret_key.startswith("sk_live_") or (secret_key and api.clerk_api_url.startswith("https://")):
        beside.append("CLERK_SECRET_KEY")
    if publishable_key:
        beside.append("CLERK_PUBLISHABLE_KEY")
    if beside:
        what = (
            f"made up for development (http://), beside the {' and '.join(beside)} of a Clerk instance: anybody with "
            "the made-up key could sign in as any of its users; unset CLERK_ISSUER and CLERK_JWT_KEY"
        )
        yield "clerk_issuer", what


def _in_tokens(tokens: TokenSettings, wrong: set[str]) -> Iterator[tuple[str, str]]:
    names = ("clerk_publishable_key", "clerk_jwt_key", "clerk_jwks_url", "clerk_issuer")
    if not any(getattr(tokens, name) or name in wrong for name in names):
        what = "missing; session tokens are verified with it, or else with CLERK_JWT_KEY or CLERK_JWKS_URL"
        yield "clerk_publishable_key", what


def _test_hosts_beside_live_keys(variables: Mapping[str, ReadVariable]) -> Iterator[tuple[str, str]]:
    """A test host is taken without TLS (`clerk_values`): nothing of a live instance may rest on what it says."""

    def text_of(field: str) -> str:
        each = variables.get(field)
        value = each.value if each and not each.problem else None
        return str(value.get_secret_value() if isinstance(value, Secret) else value or "")

    if not (
        text_of("clerk_secret_key").startswith("sk_live_") or text_of("clerk_publishable_key").startswith("pk_live_")
    ):
        return
    from anomalyze_auth import is_test_host  # noqa: PLC0415  # not every command needs it, and it imports cryptography

    for field in ("clerk_issuer", "clerk_jwks_url", "clerk_api_url"):
        if is_test_host(text_of(field)):
            yield field, "a test host (*.test) beside a live key"


_CONTRADICTIONS: Mapping[type, Any] = {TokenSettings: _in_tokens, KafkaSettings: contradictions}
