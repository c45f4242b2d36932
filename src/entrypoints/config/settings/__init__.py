"""Every variable the service reads, in groups; and the groups that each command reads."""

from entrypoints.config.settings.clerk import (
    ClerkApiSettings,
    TokenSettings,
    WebhookSettings,
    asks_backend_api,
    secret_key_for_keys,
)
from entrypoints.config.settings.commands import (
    EventsSettings,
    FillSettings,
    MigrateSettings,
    OutboxSettings,
    ReconcileSettings,
    RelaySettings,
    RepairSettings,
    ServeSettings,
    UsersSettings,
)
from entrypoints.config.settings.kafka import KafkaSettings
from entrypoints.config.settings.proxies import ProxySettings
from entrypoints.config.settings.service import (
    DatabaseSettings,
    HttpSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    ManagementSettings,
)
from entrypoints.config.settings.tracing import TracesExporter, TracingSettings

__all__ = [
    "ClerkApiSettings",
    "DatabaseSettings",
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
    "RepairSettings",
    "ServeSettings",
    "TokenSettings",
    "TracesExporter",
    "TracingSettings",
    "UsersSettings",
    "WebhookSettings",
    "asks_backend_api",
    "secret_key_for_keys",
]
