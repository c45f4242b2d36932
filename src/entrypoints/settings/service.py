"""The process itself: where its data are, where it listens, what it logs, whom it lets manage users."""

# ruff: noqa: RUF009  # a field is declared by a call

from enum import StrEnum

from attrs import frozen

from entrypoints import parsing
from entrypoints.secret import Secret
from entrypoints.service_keys import ServiceKey
from entrypoints.settings.variable import variable


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


@frozen
class DatabaseSettings:
    database_url: Secret[str] = variable(
        parsing.secret(parsing.database_url),
        "PostgreSQL, as everyone writes it. Add `?pgbouncer=true` behind a transaction pooler.",
        example="postgresql://auth:secret@localhost:5432/auth",
        in_file=True,
    )


@frozen
class HttpSettings:
    host: str = variable(
        parsing.listening_host,
        "Address or host name to listen on; 0.0.0.0 for every interface, :: with IPv6 too.",
        example="127.0.0.1",
        default="127.0.0.1",
    )
    port: int = variable(parsing.port, "Port to listen on.", example="3002", default=3002)
    shutdown_delay_s: float = variable(
        parsing.delay_s,
        "Seconds to go on serving after SIGTERM, with /health/ready at 503: until a load balancer has noticed.",
        example="5",
        default=0.0,
    )
    web_concurrency: int = variable(
        parsing.workers,
        "Processes of serve. More help where there are cores to spare beside PostgreSQL's.",
        example="2",
        default=1,
    )


@frozen
class LogSettings:
    log_level: LogLevel = variable(
        parsing.one_of(LogLevel), f"{', '.join(LogLevel)}.", example="info", default=LogLevel.INFO
    )
    log_format: LogFormat = variable(
        parsing.one_of(LogFormat),
        "json for machines, console for people; auto is console on a terminal and json elsewhere.",
        example="json",
        default=LogFormat.AUTO,
    )


@frozen
class ManagementSettings:
    """Who may look users up and act on them over HTTP (`/v1/users`)."""

    auth_service_keys: tuple[ServiceKey, ...] = variable(
        parsing.service_keys,
        "Other services' keys as name:hash, comma-separated; `auth-service service-key new NAME` makes one.",
        in_file=True,
        example="billing:3b1f…",
        default=(),
    )
    auth_service_permission: str = variable(
        parsing.permission,
        "Permission that lets a signed-in person do the same. A session token carries it for the active organization.",
        example="org:users:manage",
        default="org:users:manage",
    )
    auth_service_organizations: tuple[str, ...] = variable(
        parsing.comma_separated(parsing.organization_id),
        "Organizations in which that permission counts, comma-separated; unset: in any. Set it when customers have "
        "organizations of their own: whoever may hand out roles in one could otherwise manage every user.",
        example="org_2abcDEF",
        default=(),
    )
