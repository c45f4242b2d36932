"""Every variable the service reads, in groups; and the groups that each command reads, and no more."""

from attrs import frozen

from entrypoints.config.settings.clerk import ClerkApiSettings as ClerkApiSettings
from entrypoints.config.settings.clerk import TokenSettings as TokenSettings
from entrypoints.config.settings.clerk import WebhookSettings as WebhookSettings
from entrypoints.config.settings.clerk import asks_backend_api as asks_backend_api
from entrypoints.config.settings.clerk import secret_key_for_keys as secret_key_for_keys
from entrypoints.config.settings.kafka import KafkaSettings as KafkaSettings
from entrypoints.config.settings.proxies import ProxySettings as ProxySettings
from entrypoints.config.settings.service import DatabaseSettings as DatabaseSettings
from entrypoints.config.settings.service import HttpSettings as HttpSettings
from entrypoints.config.settings.service import LogFormat as LogFormat
from entrypoints.config.settings.service import LogLevel as LogLevel
from entrypoints.config.settings.service import LogSettings as LogSettings
from entrypoints.config.settings.service import ManagementSettings as ManagementSettings
from entrypoints.config.settings.service import ReplicaSettings as ReplicaSettings
from entrypoints.config.settings.tracing import TracesExporter as TracesExporter
from entrypoints.config.settings.tracing import TracingSettings as TracingSettings


@frozen(kw_only=True)
class ServeSettings:
    database: DatabaseSettings
    replica: ReplicaSettings
    webhooks: WebhookSettings
    tokens: TokenSettings
    clerk_api: ClerkApiSettings
    management: ManagementSettings
    http: HttpSettings
    log: LogSettings
    tracing: TracingSettings
    proxies: ProxySettings


@frozen(kw_only=True)
class RelaySettings:
    database: DatabaseSettings
    kafka: KafkaSettings
    log: LogSettings
    tracing: TracingSettings
    proxies: ProxySettings


@frozen(kw_only=True)
class MigrateSettings:
    """Of `outbox` too."""

    database: DatabaseSettings


@frozen(kw_only=True)
class UsersSettings:
    database: DatabaseSettings
    clerk_api: ClerkApiSettings
    proxies: ProxySettings


@frozen(kw_only=True)
class HistorySettings:
    database: DatabaseSettings
    kafka: KafkaSettings
    proxies: ProxySettings


@frozen(kw_only=True)
class ReconcileSettings:
    database: DatabaseSettings
    clerk_api: ClerkApiSettings
    log: LogSettings
    proxies: ProxySettings


@frozen(kw_only=True)
class EventsSettings:
    kafka: KafkaSettings
    proxies: ProxySettings


@frozen(kw_only=True)
class FillSettings:
    database: DatabaseSettings
    kafka: KafkaSettings


@frozen(kw_only=True)
class RepairSettings:
    database: DatabaseSettings
    kafka: KafkaSettings
    clerk_api: ClerkApiSettings
    proxies: ProxySettings
