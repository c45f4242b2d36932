"""The process itself: where its data are, where it listens, what it logs, whom it lets manage users."""

# ruff: noqa: RUF009  # a field is declared by a call

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import NOTHING, frozen

from entrypoints.config import parsing
from entrypoints.config.secret import Secret
from entrypoints.config.service_keys import ServiceKey
from entrypoints.config.settings.variable import variable

if TYPE_CHECKING:
    from adapters.postgres.connection.target import Target

_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # and the address to connect to there


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
    database_url: "Secret[Target]" = variable(
        parsing.secret(parsing.primary_url),
        "PostgreSQL: a connection string of libpq, with one or several hosts (docs/hosting.md).",
        example="postgresql://auth:secret@localhost:5432/auth",
        default=NOTHING,
        in_file=True,
    )


@frozen
class ReplicaSettings:
    database_replica_url: "Secret[Target] | None" = variable(
        parsing.secret(parsing.database_url),
        "Standbys of that PostgreSQL, in the same format: `/v1/me`, `/v1/verify?active=true` and look-ups read there "
        "(docs/replicas.md). The primary may be among them: it is detected.",
        example="postgresql://auth:secret@localhost:5433/auth",
        in_file=True,
    )


@frozen
class HttpSettings:
    # fmt: off
    host: str = variable(parsing.listening_host,
        "Address or host name to listen on; 0.0.0.0 for every interface, :: with IPv6 too.", default="127.0.0.1")
    port: int = variable(parsing.port, "Port to listen on.", example="3002", default=3002)
    shutdown_delay_s: float = variable(parsing.number(300, " of seconds"),
        "Seconds to serve on after SIGTERM, with /health/ready at 503, until load balancers have noticed.",
        example="5", default=0.0)
    web_concurrency: int = variable(parsing.workers,
        "Worker processes of serve. More are faster only if PostgreSQL leaves cores idle.", example="2", default=1)
    root_links: tuple[tuple[str, str], ...] = variable(parsing.links,
        "Links on the page at /, as name=address, comma-separated: your docs, dashboards. `dev` adds its own.",
        example="docs=https://docs.example.com/auth", default=())
    # fmt: on

    @property
    def base_url(self) -> str:
        """Where a client on this machine reaches the service."""
        host = _EVERY_INTERFACE.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@frozen
class LogSettings:
    # fmt: off
    log_level: LogLevel = variable(parsing.one_of(LogLevel),
        f"{', '.join(LogLevel)}.", example="info", default=LogLevel.INFO)
    log_format: LogFormat = variable(parsing.one_of(LogFormat),
        "json for machines, console for people; auto is console on a terminal and json elsewhere.",
        example="json", default=LogFormat.AUTO)
    # fmt: on


@frozen
class ManagementSettings:
    """Who may look users up and act on them over HTTP (`/v1/users`)."""

    # fmt: off
    auth_service_keys: tuple[ServiceKey, ...] = variable(parsing.service_keys,
        "Other services' keys as name:scopes:hash, comma-separated; `auth-service service-key new NAME` creates one. "
        "Without scopes (name:hash) a key may do everything.",
        in_file=True, example="billing:read+ban:8f4b3c9b0f6d2f1a57c3d6e2b94a7d10c5e8f3a6b7d9124e0c6a8b5f3d7e9c21",
        default=())
    auth_service_permission: str = variable(parsing.permission,
        "Permission that lets a signed-in person do the same. A session token carries it for the active organization.",
        default="org:users:manage")
    auth_service_organizations: tuple[str, ...] = variable(parsing.organizations,
        "Organizations in which that permission counts, comma-separated; unset: in none, so only service keys manage "
        "users. `*` is any: administrators of any organization could then manage every user.",
        example="org_2abcDEF", default=())
    # fmt: on
