"""What is wrong with a server, in the few words that logs, metrics, /health and `doctor` share."""

from enum import StrEnum

POSTGRES, WEBHOOKS, CLERK, KEYS, TOKENS = "PostgreSQL", "webhook", "Clerk", "signing keys", "session token"
"""What `told` names first: whatever `serve` depends on or is sent."""


class Trouble(StrEnum):
    """A cause that an operator can mend; the value is a label of metrics, so there are few of them."""

    OUT_OF_REACH = "out of reach"
    NAME_RESOLUTION = "name not resolved"
    BAD_ADDRESS = "advertised address out of reach"
    NO_ANSWER = "no answer in time"
    TLS = "no TLS"
    NOT_AUTHENTICATED = "credentials refused"
    NO_TOKEN = "no access token"  # noqa: S105  # a cause
    NOT_AUTHORIZED = "not authorized"
    NO_DATABASE = "no such database"
    POOLER = "transaction pooler without pgbouncer=true"
    ENCODING = "not UTF-8"
    CONFIGURATION = "configuration refused"
    NOT_MIGRATED = "not migrated"
    READ_ONLY = "read-only"
    DISK_FULL = "disk full"
    TOO_MANY_CONNECTIONS = "too many connections"
    BUSY = "too many changes at once"
    PROXY = "proxy refused"
    CLOCK = "clock differs"
    TOPIC_MISSING = "topic missing"
    NOT_ENOUGH_REPLICAS = "not enough replicas"
    OTHER = "other"


def told(subject: str, trouble: str, detail: str = "") -> str:
    """Say it in one line: `PostgreSQL: disk full (53100)`."""
    return f"{subject}: {trouble} ({detail})" if detail else f"{subject}: {trouble}"


def without_detail(line: str) -> str:
    """Return of such a line what does not differ from one time to the next: `PostgreSQL: disk full`."""
    return line.partition(" (")[0]


ADVICE = {
    Trouble.OUT_OF_REACH: "check the address, the server, and the network between",
    Trouble.NAME_RESOLUTION: "correct the host name that is configured, or mend name resolution (DNS) on this machine",
    Trouble.BAD_ADDRESS: "set advertised.listeners of that broker to an address that this network resolves and reaches",
    Trouble.NO_ANSWER: "it is overloaded, or holds a lock on what we need: look for what it is busy with",
    Trouble.TLS: "check the certificate authority and the security protocol that are configured",
    Trouble.NOT_AUTHENTICATED: "check user and password, or what else is named: was a secret changed on one side only?",
    Trouble.NO_TOKEN: "check the token endpoint, and the client, secret and scope that are configured for it",
    Trouble.NOT_AUTHORIZED: "grant the right that is named",
    Trouble.NO_DATABASE: "check the database name at the end of DATABASE_URL, or create the database",
    Trouble.POOLER: "add ?pgbouncer=true to DATABASE_URL, or &pgbouncer=true after other parameters",
    Trouble.ENCODING: "move to a database of encoding UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
    Trouble.CONFIGURATION: "correct what is named",
    Trouble.NOT_MIGRATED: "auth-service migrate",
    Trouble.READ_ONLY: "point DATABASE_URL at the primary, or see why default_transaction_read_only is on",
    Trouble.DISK_FULL: "make room on the server's disk: events stay in the outbox and Clerk sends again meanwhile",
    Trouble.TOO_MANY_CONNECTIONS: "raise max_connections, put a pooler in front, or run fewer processes",
    Trouble.BUSY: "the database is slower than webhooks come: see its load",
    Trouble.PROXY: "check user, password and what the proxy admits: HTTPS_PROXY names it, NO_PROXY goes around it",
    Trouble.CLOCK: "synchronise the clocks (NTP): this machine's, and that of the server that is named",
    Trouble.TOPIC_MISSING: "auth-service topic create",
    Trouble.NOT_ENOUGH_REPLICAS: "brokers that hold copies are away: bring them back",
    Trouble.OTHER: "see the server's own log at this time",
}
"""What to do first."""
