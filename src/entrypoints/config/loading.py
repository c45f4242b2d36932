"""Load a command's settings, and report everything that is wrong at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import fields, has

from entrypoints.config.clerk_values import kind_of
from entrypoints.config.secret import Secret
from entrypoints.config.settings import ClerkApiSettings, KafkaSettings, TokenSettings, asks_backend_api
from entrypoints.config.settings.catalogue import Variable, variables_of
from entrypoints.config.settings.kafka import contradictions, unsupported, unused
from entrypoints.config.sources import ConfigProblem, ConfigurationError, SourceValue, found_variables, look_up
from entrypoints.config.written import explain

S = TypeVar("S")


def load(settings_class: type[S], *, environment: Mapping[str, str] | None = None, env_file: Path | None = None) -> S:
    """Return a command's settings, or a group's, or raise ConfigurationError: it names all that is missing or wrong."""
    return load_from(settings_class, found_variables(environment, env_file))


def load_from(settings_class: type[S], found: Mapping[str, SourceValue]) -> S:
    """See `load`."""
    of_command = {part.name: part.type for part in fields(cast("Any", settings_class)) if has(cast("Any", part.type))}
    groups: list[Any] = [*of_command.values()] or [settings_class]
    by_field = {variable.field: variable for group in groups for variable in variables_of(group)}
    problems: dict[str, ConfigProblem] = {}
    values = {group: {v.field: _value(v, found, problems) for v in variables_of(group)} for group in groups}
    for name, what in _contradictions(values, set(problems)):
        problems.setdefault(name, ConfigProblem(by_field[name].name, what, by_field[name].example))
    useless = [*unsupported(found)] if KafkaSettings in groups else []
    if problems:
        raise ConfigurationError(*(problems[name] for name in by_field if name in problems), *useless)
    loaded = {group: group(**values[group]) for group in groups}
    if KafkaSettings in groups:
        useless += unused(found, loaded[KafkaSettings])
    if useless:
        raise ConfigurationError(*useless)
    parts = {name: loaded[group] for name, group in of_command.items()}
    return settings_class(**parts) if parts else cast("S", loaded[settings_class])


def _value(variable: Variable, found: Mapping[str, SourceValue], problems: dict[str, ConfigProblem]) -> Any:
    """Return the value, or note what is wrong; a text that is refused is returned, for it is there all the same."""
    try:
        entry = look_up(variable.name, found, in_file=variable.in_file)
    except ConfigurationError as error:
        [problems[variable.field]] = error.problems
        return None if variable.required else variable.default
    if entry is None:
        if not variable.required:
            return variable.default
        problems[variable.field] = ConfigProblem(variable.name, "missing", variable.example)
        return None
    try:
        value = variable.parse(entry.text)
        return Secret(value.get_secret_value(), entry.file) if isinstance(value, Secret) else value
    except ValueError as error:
        what = explain(variable.name, entry.text, str(error))
        problems[variable.field] = ConfigProblem(variable.name, what, variable.example)
        return entry.text


def _contradictions(groups: Mapping[Any, Mapping[str, Any]], wrong: set[str]) -> Iterator[tuple[str, str]]:
    """Name fields that are wrong only together with others, and why; a value that was refused is its text here."""
    for group, values in groups.items():
        if group in _CONTRADICTIONS:
            yield from _CONTRADICTIONS[group](group(**values), wrong)
    of_all = {name: value for values in groups.values() for name, value in values.items()}
    yield from _test_hosts_beside_live_keys(of_all, wrong)
    tokens, api = groups.get(TokenSettings), groups.get(ClerkApiSettings)
    if tokens is not None and api is not None and not wrong & (tokens.keys() | api.keys()):
        yield from mixed_instances(TokenSettings(**tokens), ClerkApiSettings(**api))


def mixed_instances(tokens: TokenSettings, api: ClerkApiSettings) -> Iterator[tuple[str, str]]:
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


def _test_hosts_beside_live_keys(values: Mapping[str, Any], wrong: set[str]) -> Iterator[tuple[str, str]]:
    """A test host is taken without TLS (`parsing.clerk_url`): nothing of a live instance may rest on what it says."""

    def text_of(name: str) -> str:
        value = values.get(name)
        text = value.get_secret_value() if isinstance(value, Secret) else value
        return str(text) if text and name not in wrong else ""

    if not (
        text_of("clerk_secret_key").startswith("sk_live_") or text_of("clerk_publishable_key").startswith("pk_live_")
    ):
        return
    from anomalyze_auth import is_test_host  # noqa: PLC0415  # not every command needs it, and it imports cryptography

    for name in ("clerk_issuer", "clerk_jwks_url", "clerk_api_url"):
        if is_test_host(text_of(name)):
            yield name, "a test host (*.test) beside a live key"


_CONTRADICTIONS: Mapping[Any, Any] = {TokenSettings: _in_tokens, KafkaSettings: contradictions}
