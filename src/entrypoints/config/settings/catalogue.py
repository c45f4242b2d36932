"""All variables and all commands: for `.env.example`, docs/configuration.md, `config` and `doctor`."""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import NOTHING, fields, frozen

from entrypoints.config import settings
from entrypoints.config.sources import ENV_FILE

GROUPS: Mapping[type, str] = {
    settings.DatabaseSettings: "PostgreSQL: serve, relay, migrate",
    settings.ReplicaSettings: "Read replicas: serve (optional)",
    settings.WebhookSettings: "Webhooks: serve",
    settings.TokenSettings: "Session tokens: serve (one of the first two, or CLERK_JWKS_URL)",
    settings.ClerkApiSettings: "Clerk's Backend API: serve (optional), users, reconcile",
    settings.ManagementSettings: "Managing users over HTTP: serve",
    settings.HttpSettings: "HTTP: serve",
    settings.KafkaSettings: "Kafka: relay, events, topic",
    settings.LogSettings: "Logs: serve, relay, reconcile",
    settings.ProxySettings: "Proxies: serve, relay, users, reconcile, events, topic",
    settings.TracingSettings: "Traces: serve, relay (none unless asked for; OpenTelemetry's other variables count too)",
}

DEPLOYED = ("serve", "relay", "migrate")  # the commands that a deployment is made of

COMMANDS: Mapping[str, type] = {
    "serve": settings.ServeSettings,
    "relay": settings.RelaySettings,
    "migrate": settings.MigrateSettings,
    "users": settings.UsersSettings,
    "reconcile": settings.ReconcileSettings,
    "outbox": settings.MigrateSettings,
    "events": settings.EventsSettings,
    "topic": settings.EventsSettings,
}
"""What each command reads; `doctor` and `config` look at everything, and need nothing."""


@frozen(kw_only=True)
class Variable:
    """A variable as it is declared."""

    name: str
    field: str  # its name in the group
    group: type
    help: str
    example: str
    parse: Any
    default: Any
    in_file: bool  # `NAME_FILE` may name a file that holds it

    @property
    def required(self) -> bool:
        """Whether a command that reads it cannot do without."""
        return self.default is NOTHING

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that read it."""
        return tuple(
            name
            for name, of_command in COMMANDS.items()
            if self.group in [attribute.type for attribute in fields(of_command)]
        )


def variables_of(group: type) -> Iterator[Variable]:
    for attribute in fields(group):
        name = attribute.name
        yield Variable(name=name.upper(), field=name, group=group, default=attribute.default, **attribute.metadata)


def all_variables() -> Iterator[Variable]:
    for group in GROUPS:
        yield from variables_of(group)


def known_names() -> frozenset[str]:
    """Return the names of all variables that are read."""
    names = {variable.name for variable in all_variables()}
    in_files = {f"{variable.name}_FILE" for variable in all_variables() if variable.in_file}
    return frozenset(names | in_files | {ENV_FILE})
