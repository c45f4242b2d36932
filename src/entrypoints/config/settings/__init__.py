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
    HistorySettings,
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
    ReplicaSettings,
)
from entrypoints.config.settings.tracing import TracesExporter, TracingSettings

__all__ = [
    "ClerkApiSettings",
    "DatabaseSettings",
    "EventsSettings",
    "FillSettings",
    "HistorySettings",
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
    "ReplicaSettings",
    "ServeSettings",
    "TokenSettings",
    "TracesExporter",
    "TracingSettings",
    "UsersSettings",
    "WebhookSettings",
    "asks_backend_api",
    "secret_key_for_keys",
]
