"""The part of `doctor` that needs no server: which groups of variables can be used, and what is wrong with the rest."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

from attrs import evolve, fields_dict, frozen

from application.doctor.findings import Finding, Severity, not_checked
from entrypoints.composition.doctor import DoctorContainer
from entrypoints.config import settings
from entrypoints.config.loading import Reading, read
from entrypoints.config.misspelled import misspelled
from entrypoints.config.service_keys import ANY_ORGANIZATION, EVERYTHING
from entrypoints.config.settings.catalogue import GROUPS, known_names, variables_of
from entrypoints.config.sources import ConfigProblem, ConfigurationError, SourceValue, found_variables

_OPTIONAL = {
    settings.KafkaSettings: not_checked("kafka", "KAFKA_BOOTSTRAP_SERVERS is not set", "the relay needs it"),
    settings.WebhookSettings: not_checked("webhook secret", "CLERK_WEBHOOK_SECRET is not set", "serve needs it"),
    settings.TokenSettings: not_checked(
        "session tokens", "CLERK_PUBLISHABLE_KEY is not set, nor CLERK_JWT_KEY", "serve needs one"
    ),
}
"""Groups that not every process has, and what is said without them."""

G = TypeVar("G")


@frozen
class Configured:
    groups: Mapping[type, object]  # those that can be used
    findings: Sequence[Finding] = ()

    def get(self, group: type[G]) -> G | None:
        """Return the group; None where it cannot be used."""
        return cast("G | None", self.groups.get(group))

    @property
    def container(self) -> DoctorContainer:
        groups = {
            "database": self.get(settings.DatabaseSettings),
            "replica": self.get(settings.ReplicaSettings),
            "kafka": self.get(settings.KafkaSettings),
        }
        return DoctorContainer(**{name: group for name, group in groups.items() if group is not None})


def configured() -> Configured:
    try:
        found = found_variables()
    except ConfigurationError as error:  # `.env` cannot be read
        return Configured({}, [_finding(problem) for problem in error.problems])
    reading = read([*GROUPS], found)
    loaded = Configured(reading.usable)
    return evolve(loaded, findings=[*_findings(loaded, reading, found)])


def _findings(loaded: Configured, reading: Reading, found: Mapping[str, SourceValue]) -> Iterator[Finding]:
    not_begun = {
        group
        for group in GROUPS.keys() - reading.usable.keys()
        if group is not settings.DatabaseSettings and not _is_begun(group, found)
    }
    of_others = {field for group in not_begun for field in fields_dict(group)}
    wrong = [_finding(problem) for field, problem in reading.problems.items() if field not in of_others]
    wrong += [says for group, says in _OPTIONAL.items() if group in not_begun]
    if not any(finding.severity is Severity.FAILURE for finding in wrong):
        yield Finding("configuration", Severity.OK, "every variable that is set is well-formed")
    yield from wrong
    for suspect in misspelled(found, known_names()):
        yield Finding("configuration", Severity.WARNING, str(suspect), "rename it, or remove it")
    if webhooks := loaded.get(settings.WebhookSettings):
        secrets = webhooks.clerk_webhook_secret.get_secret_value()
        yield Finding(
            "webhook secret", Severity.OK, f"{len(secrets)}, well-formed; whether Clerk signs with it, it shows"
        )
    api = loaded.get(settings.ClerkApiSettings)
    if api and not api.clerk_secret_key:
        advice = "set it, so that a user who signs in before the webhook arrives is found; users and reconcile need it"
        yield not_checked("clerk secret key", "CLERK_SECRET_KEY is not set", advice)
    if tokens := loaded.get(settings.TokenSettings):
        yield from token_findings(tokens)
    kafka = loaded.get(settings.KafkaSettings)
    if kafka and kafka.kafka_ssl_cert_file:
        yield _client_certificate(kafka.kafka_ssl_cert_file)
    if management := loaded.get(settings.ManagementSettings):
        yield from managing_findings(management)


def _client_certificate(file: Path) -> Finding:
    from anomalyze_auth.kafka.certificates import validity  # noqa: PLC0415  # few have one

    valid = validity(file.read_bytes())
    says = f"KAFKA_SSL_CERT_FILE: valid until {valid.ends:%Y-%m-%d %H:%M} UTC"
    if valid.is_ending(datetime.now(UTC)):
        advice = "renew it, and put it and its key into the same files: the next connection uses them"
        return Finding("client certificate", Severity.WARNING, says, advice)
    return Finding("client certificate", Severity.OK, says)


def token_findings(tokens: settings.TokenSettings) -> Iterator[Finding]:
    """Judge whose session tokens are accepted."""
    key = tokens.clerk_publishable_key
    if tokens.issuer is None:
        says = "tokens of any issuer are accepted, as long as the key fits: only CLERK_JWT_KEY is set"
        yield Finding("token issuer", Severity.WARNING, says, "set CLERK_PUBLISHABLE_KEY or CLERK_ISSUER")
    elif key and key.issuer != tokens.issuer:
        says = f"CLERK_ISSUER is {tokens.issuer}, the publishable key says {key.issuer}"
        yield Finding("token issuer", Severity.WARNING, says, "right only behind a proxied Frontend API; else unset it")
    if not tokens.clerk_authorized_parties:
        says = "tokens of any site of the instance are accepted, and the session cookie is not read: "
        says += "CLERK_AUTHORIZED_PARTIES is not set"
        yield Finding("authorized parties", Severity.WARNING, says, "set it to the origins of your frontends")


def managing_findings(management: settings.ManagementSettings) -> Iterator[Finding]:
    """Judge who may manage users over HTTP: as few as possible."""
    check = "managing users"
    organizations, keys = management.auth_service_organizations, management.auth_service_keys
    if ANY_ORGANIZATION in organizations:
        says = "people of any organization, if their role has the permission: AUTH_SERVICE_ORGANIZATIONS is *"
        advice = "name your own: otherwise an administrator of any organization could manage every user"
        yield Finding(check, Severity.WARNING, says, advice)
    elif organizations:
        yield Finding(check, Severity.OK, f"people of {len(organizations)} named in AUTH_SERVICE_ORGANIZATIONS")
    else:
        says = f"nobody by a session token: AUTH_SERVICE_ORGANIZATIONS is not set; service keys: {len(keys)}"
        yield Finding(check, Severity.OK, says)
    if for_everything := [key.name for key in keys if EVERYTHING in key.scopes]:
        says = f"service keys that may do everything, deletions included: {', '.join(for_everything)}"
        advice = "rotate to keys with the scopes they need: auth-service service-key new NAME --scope read"
        yield Finding(check, Severity.WARNING, says, advice)


def _is_begun(group: type, found: Mapping[str, SourceValue]) -> bool:
    """Tell whether anything of the group is set: what is missing beside it is then an error, not an intention."""
    return any({variable.name, f"{variable.name}_FILE"} & set(found) for variable in variables_of(group))


def _finding(problem: ConfigProblem) -> Finding:
    example = f"for example {problem.variable}={problem.example}" if problem.example else ""
    return Finding("configuration", Severity.FAILURE, f"{problem.variable}: {problem.what}", example)
