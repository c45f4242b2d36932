"""Failures of the systems that this service depends on, as values: which system, why, and the details."""

from enum import StrEnum

from attrs import frozen

POSTGRES, CLERK, KAFKA = "PostgreSQL", "Clerk", "Kafka"
REPLICA = "PostgreSQL replica"
WEBHOOKS, KEYS, TOKENS = "webhook", "signing keys", "session token"  # subjects of failures


class Cause(StrEnum):
    """A cause that an operator can remove; the value is a label of metrics, so there are few of them."""

    OUT_OF_REACH = "out of reach"
    NAME_RESOLUTION = "name not resolved"
    BAD_ADDRESS = "advertised address out of reach"
    NO_ANSWER = "no answer in time"
    BAD_ANSWER = "no usable answer"
    RATE_LIMITED = "rate limited"
    TLS = "no TLS"
    NOT_AUTHENTICATED = "credentials refused"
    NO_TOKEN = "no access token"  # noqa: S105  # a cause
    NOT_AUTHORIZED = "not authorized"
    NO_DATABASE = "no such database"
    POOLER = "transaction pooler without pgbouncer=true"
    ENCODING = "not UTF-8"
    CONFIGURATION = "configuration refused"
    FOREIGN_SCHEMA = "another application's schema"
    NOT_MIGRATED = "not migrated"
    READ_ONLY = "read-only"
    NOT_A_STANDBY = "not a standby"
    TOO_FAR_BEHIND = "too far behind"
    OTHER_CLUSTER = "of another cluster"
    OTHER_TIMELINE = "follows a former primary"
    NO_PRIMARY = "no primary among the hosts"
    NO_STANDBY = "waits for a synchronous standby"
    DISK_FULL = "disk full"
    TOO_MANY_CONNECTIONS = "too many connections"
    BUSY = "too many changes at once"
    PROXY = "proxy refused"
    CLOCK = "clock differs"
    TOPIC_MISSING = "topic missing"
    NOT_ENOUGH_REPLICAS = "not enough replicas"
    FENCED = "fenced repeatedly"
    OTHER = "other"


@frozen
class Failure:
    subject: str  # what fails, such as `POSTGRES`
    cause: StrEnum  # `Cause`, or `application.errors.Forgery` of a webhook
    detail: str = ""  # details, which may differ each time; no value, no secret and no text from another server

    @property
    def label(self) -> str:
        """`PostgreSQL: disk full`, for metrics."""
        return f"{self.subject}: {self.cause}"

    def __str__(self) -> str:
        """`PostgreSQL: disk full (53100)`."""
        return f"{self.label} ({self.detail})" if self.detail else self.label


ADVICE = {
    Cause.OUT_OF_REACH: "check the address, the server, and the network between",
    Cause.NAME_RESOLUTION: "correct the configured host name, or repair name resolution (DNS) on this machine",
    Cause.BAD_ADDRESS: "set advertised.listeners of that broker to an address that this network resolves and reaches",
    Cause.NO_ANSWER: "the server is overloaded, or another session holds a lock: find out what it is busy with",
    Cause.BAD_ANSWER: "check the address and the status page of the service that answers",
    Cause.RATE_LIMITED: "send fewer requests, or ask for a higher limit",
    Cause.TLS: "check the configured certificate authority and security protocol",
    Cause.NOT_AUTHENTICATED: "check user and password, or what else is named: was a secret changed on one side only?",
    Cause.NO_TOKEN: "check the token endpoint, and the client, secret and scope that are configured for it",
    Cause.NOT_AUTHORIZED: "grant the right that is named",
    Cause.NO_DATABASE: "check the database name at the end of DATABASE_URL, or create the database",
    Cause.POOLER: "add ?pgbouncer=true to DATABASE_URL, or &pgbouncer=true after other parameters",
    Cause.ENCODING: "move to a database of encoding UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
    Cause.CONFIGURATION: "correct what is named",
    Cause.FOREIGN_SCHEMA: "give this service its own database, or its own schema: add ?schema=auth",
    Cause.NOT_MIGRATED: "auth-service migrate",
    Cause.READ_ONLY: "point DATABASE_URL at the primary, or see why default_transaction_read_only is on",
    Cause.NOT_A_STANDBY: "nothing, if it is the primary or was promoted; else make it follow the primary again",
    Cause.TOO_FAR_BEHIND: "see what keeps it from replaying: pg_wal_replay_pause(), its disk, its network, its clock",
    Cause.OTHER_CLUSTER: "point DATABASE_REPLICA_URL at a standby of the server in DATABASE_URL",
    Cause.OTHER_TIMELINE: "make it follow the server that was promoted: docs/replicas.md",
    Cause.NO_PRIMARY: "promote a standby, or name the host that was promoted: docs/failover.md",
    Cause.NO_STANDBY: "start the standby that synchronous_standby_names asks for: docs/failover.md",
    Cause.DISK_FULL: "free disk space on the server: until then events stay in the outbox and Clerk sends again",
    Cause.TOO_MANY_CONNECTIONS: "raise max_connections, put a pooler in front, or run fewer processes",
    Cause.BUSY: "the database is slower than webhooks arrive: check its load",
    Cause.PROXY: "check user, password and rules of the proxy: HTTPS_PROXY names it, NO_PROXY lists exceptions",
    Cause.CLOCK: "synchronise the clocks (NTP): this machine's, and that of the server that is named",
    Cause.TOPIC_MISSING: "auth-service topic create",
    Cause.NOT_ENOUGH_REPLICAS: "brokers that hold copies are down: start them",
    Cause.FENCED: "run each relay under its own --name",
    Cause.OTHER: "read the server's own log at this time",
}
"""What to do first."""
