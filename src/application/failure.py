"""Failures of the systems that this service depends on, as values: which system, why, and the details."""

from enum import StrEnum
from typing import Self

from attrs import frozen

POSTGRES, CLERK, KAFKA = "PostgreSQL", "Clerk", "Kafka"
REPLICA = "PostgreSQL replica"
WEBHOOKS, KEYS, TOKENS = "webhook", "signing keys", "session token"  # subjects of failures


class Cause(StrEnum):
    """A cause that an operator can remove, and what to do first; the value is a label of metrics, so there are few."""

    advice: str

    def __new__(cls, value: str, advice: str) -> Self:
        cause = str.__new__(cls, value)
        cause._value_, cause.advice = value, advice
        return cause

    # fmt: off
    OUT_OF_REACH = "out of reach", "check the address, the server, and the network between"
    NAME_RESOLUTION = ("name not resolved",
        "correct the configured host name, or repair name resolution (DNS) on this machine")
    BAD_ADDRESS = ("advertised address out of reach",
        "set advertised.listeners of that broker to an address that this network resolves and reaches")
    NO_ANSWER = ("no answer in time",
        "the server is overloaded, or another session holds a lock: find out what it is busy with")
    BAD_ANSWER = "no usable answer", "check the address and the status page of the service that answers"
    RATE_LIMITED = "rate limited", "send fewer requests, or ask for a higher limit"
    TLS = "no TLS", "check the configured certificate authority and security protocol"
    NOT_AUTHENTICATED = ("credentials refused",
        "check user and password, or what else is named: was a secret changed on one side only?")
    NO_TOKEN = ("no access token",
        "check the token endpoint, and the client, secret and scope that are configured for it")
    NOT_AUTHORIZED = "not authorized", "grant the right that is named"
    NO_DATABASE = "no such database", "check the database name at the end of DATABASE_URL, or create the database"
    POOLER = ("transaction pooler without pgbouncer=true",
        "add ?pgbouncer=true to DATABASE_URL, or &pgbouncer=true after other parameters")
    ENCODING = "not UTF-8", "move to a database of encoding UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    CONFIGURATION = "configuration refused", "correct what is named"
    FOREIGN_SCHEMA = ("another application's schema",
        "give this service its own database, or its own schema: add ?schema=auth")
    NOT_MIGRATED = "not migrated", "auth-service migrate"
    READ_ONLY = "read-only", "point DATABASE_URL at the primary, or see why default_transaction_read_only is on"
    NOT_A_STANDBY = ("not a standby",
        "nothing, if it is the primary or was promoted; else make it follow the primary again")
    TOO_FAR_BEHIND = ("too far behind",
        "see what keeps it from replaying: pg_wal_replay_pause(), its disk, its network, its clock")
    OTHER_CLUSTER = "of another cluster", "point DATABASE_REPLICA_URL at a standby of the server in DATABASE_URL"
    OTHER_TIMELINE = "follows a former primary", "make it follow the server that was promoted: docs/replicas.md"
    NO_PRIMARY = "no primary among the hosts", "promote a standby, or name the host that was promoted: docs/failover.md"
    NO_STANDBY = ("waits for a synchronous standby",
        "start the standby that synchronous_standby_names asks for: docs/failover.md")
    DISK_FULL = "disk full", "free disk space on the server: until then events stay in the outbox and Clerk sends again"
    TOO_MANY_CONNECTIONS = ("too many connections",
        "raise max_connections, put a pooler in front, or run fewer processes")
    BUSY = "too many changes at once", "the database is slower than webhooks arrive: check its load"
    PROXY = ("proxy refused",
        "check user, password and rules of the proxy: HTTPS_PROXY names it, NO_PROXY lists exceptions")
    CLOCK = "clock differs", "synchronise the clocks (NTP): this machine's, and that of the server that is named"
    TOPIC_MISSING = "topic missing", "auth-service topic create"
    NOT_ENOUGH_REPLICAS = "not enough replicas", "brokers that hold copies are down: start them"
    FENCED = "fenced repeatedly", "run each relay under its own --name"
    OTHER = "other", "read the server's own log at this time"
    # fmt: on


@frozen
class Failure:
    subject: str  # what fails, such as `POSTGRES`
    cause: StrEnum  # `Cause`, or `application.errors.Forgery` of a webhook
    detail: str = ""  # details, which may differ each time; no value, no secret and no text from another server

    @property
    def label(self) -> str:
        """`PostgreSQL: disk full`, for metrics."""
        return f"{self.subject}: {self.cause}"

    @property
    def advice(self) -> str:
        """What to do first; empty for a webhook."""
        return self.cause.advice if isinstance(self.cause, Cause) else ""

    def __str__(self) -> str:
        """`PostgreSQL: disk full (53100)`."""
        return f"{self.label} ({self.detail})" if self.detail else self.label
