"""Load a command's settings from the environment and `.env`, and report everything that is wrong at once."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import typed_settings as ts
from attrs import fields, has
from typed_settings.dict_utils import set_path
from typed_settings.loaders import Loader
from typed_settings.types import LoadedSettings, LoaderMeta, OptionInfo, OptionList, SettingsClass, SettingsDict

from entrypoints.config.secret import Secret
from entrypoints.config.settings import ClerkApiSettings, KafkaSettings, TokenSettings, asks_backend_api
from entrypoints.config.settings.kafka_contradictions import contradictions, unsupported, unused
from entrypoints.config.sources import ENV_FILE, ConfigProblem, SourceError, SourceValue, look_up, read
from entrypoints.config.written import told

S = TypeVar("S")


class ConfigurationError(Exception):
    """The settings cannot be used; its text names each variable and can be shown as it is."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"The configuration (environment or .env) is not usable:\n{listed}")


def load(settings_class: type[S], *, environment: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> S:
    """Return the settings of a command; the environment wins over `.env`, and an empty variable counts as unset.

    `NAME_FILE` may stand for a secret `NAME`: the file holds it. `settings_class` may also be a single group.

    Raises:
        ConfigurationError: naming every variable that is missing or wrong.
    """
    return load_from(settings_class, found_variables(environment, env_file))


def load_from(settings_class: type[S], found: Mapping[str, SourceValue]) -> S:
    """See `load`."""
    problems: dict[str, ConfigProblem] = {}
    loader, parse = _loader(found, problems), partial(_parse, problems)
    reads_kafka = KafkaSettings in (settings_class, *(part.type for part in fields(cast("Any", settings_class))))
    useless = [*unsupported(found)] if reads_kafka else []
    try:
        loaded = ts.load_settings(settings_class, loaders=[loader], processors=[parse], converter=_AsParsed())
    except ConfigurationError as error:
        raise ConfigurationError([*error.problems, *useless]) from None
    if reads_kafka:
        useless += unused(found, getattr(loaded, "kafka", cast("Any", loaded)))
    if useless:
        raise ConfigurationError(useless)
    return loaded


def found_variables(environment: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> dict[str, SourceValue]:
    """Return what is set and where, by name.

    Raises:
        ConfigurationError: `.env` is there and cannot be read.
    """
    try:
        return read(environment, env_file)
    except SourceError as error:
        raise ConfigurationError([error.problem]) from None


def variables(environment: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> dict[str, str]:
    """Return what is set, by name, ready to be the environment of another process: see `found_variables`."""
    return {name: found.text for name, found in found_variables(environment, env_file).items()}


def variable_of(option_path: str) -> str:
    """`database.database_url` is read from DATABASE_URL: the group is ours, the name is the reader's."""
    return option_path.rpartition(".")[2].upper()


def _loader(found: Mapping[str, SourceValue], problems: dict[str, ConfigProblem]) -> Loader:
    def load_texts(settings_cls: SettingsClass, options: OptionList) -> LoadedSettings:  # noqa: ARG001  # by name
        texts: SettingsDict = {}
        for option in options:
            try:
                entry = look_up(variable_of(option.path), found, in_file=option.metadata["in_file"])
            except SourceError as error:
                problems[option.path] = error.problem
            else:
                if entry:
                    set_path(texts, option.path, entry.text)
        return LoadedSettings(texts, LoaderMeta("environment"))

    return load_texts


def _parse(
    problems: dict[str, ConfigProblem], settings_dict: SettingsDict, settings_cls: SettingsClass, options: OptionList
) -> SettingsDict:
    """Replace texts by values: here, not in typed-settings' conversion, whose messages repeat the value."""
    parsed: SettingsDict = {}
    for option in options:
        value = _lookup(settings_dict, option.path)
        if isinstance(value, str):
            try:
                value = option.metadata["parse"](value)
            except ValueError as error:
                problems[option.path] = _problem(option, told(variable_of(option.path), value, str(error)))
        elif value is None and option.has_no_default:
            problems.setdefault(option.path, _problem(option, "missing"))
        set_path(parsed, option.path, value)
    by_path = {option.path: option for option in options}
    for path, what in _contradictions(
        parsed, settings_cls, {option.name for option in options if option.path in problems}
    ):
        problems.setdefault(path, _problem(by_path[path], what))
    if problems:
        raise ConfigurationError([problems[option.path] for option in options if option.path in problems])
    return parsed


def _lookup(found: Mapping[str, Any], path: str) -> Any:
    group, _, name = path.rpartition(".")
    return found.get(group, {}).get(name) if group else found.get(name)


def _problem(option: OptionInfo, what: str) -> ConfigProblem:
    return ConfigProblem(variable_of(option.path), what, option.metadata["example"])


def _contradictions(parsed: SettingsDict, settings_class: SettingsClass, wrong: set[str]) -> Iterator[tuple[str, str]]:
    """Name the variables that are wrong only together with others, and say what is wrong.

    A value that was refused is still the text here: it is there, which is all that is asked of it.
    """
    of_itself = [("", settings_class, parsed)]
    groups = [(f"{part.name}.", part.type, parsed[part.name]) for part in fields(settings_class) if has(part.type)]
    for prefix, kind, values in groups or of_itself:
        if kind in _CONTRADICTIONS:
            yield from ((f"{prefix}{name}", what) for name, what in _CONTRADICTIONS[kind](kind(**values), wrong))
    yield from _test_hosts_beside_live_keys(
        {f"{prefix}{name}": value for prefix, _, values in groups or of_itself for name, value in values.items()}, wrong
    )
    yield from _between({kind: (prefix, values) for prefix, kind, values in groups}, wrong)


def _between(groups: Mapping[Any, tuple[str, Any]], wrong: set[str]) -> Iterator[tuple[str, str]]:
    if not {TokenSettings, ClerkApiSettings} <= groups.keys():
        return
    if wrong & {part.name for kind in (TokenSettings, ClerkApiSettings) for part in fields(kind)}:
        return
    prefix, values = groups[TokenSettings]
    api = ClerkApiSettings(**groups[ClerkApiSettings][1])
    yield from ((f"{prefix}{name}", what) for name, what in mixed_instances(TokenSettings(**values), api))


def mixed_instances(tokens: TokenSettings, api: ClerkApiSettings) -> Iterator[tuple[str, str]]:
    """Name the fields of `tokens` that do not go together with how the Backend API is asked, and say why."""
    secret_key = api.clerk_secret_key.get_secret_value() if api.clerk_secret_key else ""
    if asks_backend_api(tokens, api) and not (secret_key or tokens.clerk_jwt_key):
        what = (
            "the Backend API shows its keys to the holder of CLERK_SECRET_KEY, which is not set: set it, or set "
            "CLERK_PUBLISHABLE_KEY alone, from which the address of the public keys follows"
        )
        yield "clerk_jwks_url", what
    kinds = [key.split("_")[1] for key in (secret_key, tokens.clerk_publishable_key or "") if key]
    if len(set(kinds)) > 1:
        what = f"of a {kinds[1]} instance, and CLERK_SECRET_KEY of a {kinds[0]} one; take both from one instance"
        yield "clerk_publishable_key", what
    if not (tokens.issuer or "").startswith("http://"):
        return
    # No issuer of Clerk's is without TLS: this is the stand-in's, or what `dev-keys` made up.
    beside = []
    if secret_key.startswith("sk_live_") or (secret_key and api.clerk_api_url.startswith("https://")):
        beside.append("CLERK_SECRET_KEY")
    if tokens.clerk_publishable_key:
        beside.append("CLERK_PUBLISHABLE_KEY")
    if beside:
        what = (
            f"made up for development (http://), beside the {' and '.join(beside)} of a Clerk instance: whoever has "
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
    by_name = {path.rpartition(".")[2]: path for path in values}

    def text_of(name: str) -> str:
        value = values.get(by_name.get(name, ""))
        text = value.get_secret_value() if isinstance(value, Secret) else value
        return text if isinstance(text, str) and name not in wrong else ""

    if not (
        text_of("clerk_secret_key").startswith("sk_live_") or text_of("clerk_publishable_key").startswith("pk_live_")
    ):
        return
    from anomalyze_auth import is_test_host  # noqa: PLC0415  # not every command needs it, and it imports cryptography

    for name in ("clerk_issuer", "clerk_jwks_url", "clerk_api_url"):
        if is_test_host(text_of(name)):
            yield by_name[name], "a test host (*.test) beside a live key"


_CONTRADICTIONS: Mapping[Any, Any] = {TokenSettings: _in_tokens, KafkaSettings: contradictions}


class _AsParsed:
    """typed-settings' converter, for values that are what they should be already."""

    def get_structure_hook(self, kind: Any) -> Any:
        raise KeyError(kind)

    def structure(self, value: Any, kind: Any) -> Any:
        if not has(kind) or not isinstance(value, dict):
            return value
        return kind(**{part.name: self.structure(value[part.name], part.type) for part in fields(kind)})
