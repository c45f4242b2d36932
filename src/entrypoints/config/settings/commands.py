"""What each command reads: groups of variables, so that it asks for no more than it uses."""

from attrs import frozen

from entrypoints.config.settings.clerk import ClerkApiSettings, TokenSettings, WebhookSettings
from entrypoints.config.settings.kafka import KafkaSettings
from entrypoints.config.settings.proxies import ProxySettings
from entrypoints.config.settings.service import (
    DatabaseSettings,
    HttpSettings,
    LogSettings,
    ManagementSettings,
    ReplicaSettings,
)
from entrypoints.config.settings.tracing import TracingSettings


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
    database: DatabaseSettings


@frozen(kw_only=True)
class OutboxSettings:
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
