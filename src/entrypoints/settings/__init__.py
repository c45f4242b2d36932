"""Every variable the service reads, in groups; and the groups that each command reads."""

from entrypoints.settings.clerk import (
    ClerkApiSettings,
    TokenSettings,
    WebhookSettings,
    asks_backend_api,
)
from entrypoints.settings.commands import (
    ClerkStandInSettings,
    DevSettings,
    EventsSettings,
    FillSettings,
    MigrateSettings,
    OutboxSettings,
    ReconcileSettings,
    RelaySettings,
    ServeSettings,
    TokenCommandSettings,
    TriggerSettings,
    UsersSettings,
)
from entrypoints.settings.kafka import KafkaSettings
from entrypoints.settings.kafka_values import SaslMechanism, SecurityProtocol
from entrypoints.settings.proxies import ProxySettings
from entrypoints.settings.service import (
    DatabaseSettings,
    HttpSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    ManagementSettings,
)
from entrypoints.settings.tracing import TracesExporter, TracingSettings

__all__ = [
    "ClerkApiSettings",
    "ClerkStandInSettings",
    "DatabaseSettings",
    "DevSettings",
    "EventsSettings",
    "FillSettings",
    "HttpSettings",
    "KafkaSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "ManagementSettings",
    "MigrateSettings",
    "OutboxSettings",
    "ProxySettings",
    "ReconcileSettings",
    "RelaySettings",
    "SaslMechanism",
    "SecurityProtocol",
    "ServeSettings",
    "TokenCommandSettings",
    "TokenSettings",
    "TracesExporter",
    "TracingSettings",
    "TriggerSettings",
    "UsersSettings",
    "WebhookSettings",
    "asks_backend_api",
]
