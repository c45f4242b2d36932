"""Opening connections: the addresses in turn, with or without TLS, directly or through a transaction-mode pooler."""

import asyncio
import random
import socket
import ssl
from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
from attrs import define, frozen

from adapters.postgres.connection.target import Target

STATEMENT_TIMEOUT_S = 5.0
"""How long one statement may take before its caller gets StoreUnavailableError."""

Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# What may be different at the next address; a refused password, say, is an answer (libpq's rule).
_NEXT_ADDRESS = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TargetServerAttributeNotMatched,
)
_SOCKET_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


# Citus picks the servers by the values; with a generic plan, which has none, it would ask all of them. What it asks of
# several shards of a server goes faster one by one than on connections made for it, because our statements are short.
# And it would hide shards from asyncpg's questions about types, which then take seconds.
_ON_CITUS = """
    SELECT set_config(name, value, false)
    FROM (VALUES ('plan_cache_mode', 'force_custom_plan'), ('citus.max_adaptive_executor_pool_size', '1'),
                 ('citus.override_table_visibility', 'off')) AS setting(name, value)
    WHERE to_regclass('pg_dist_partition') IS NOT NULL
"""


class BehindPooler(asyncpg.Connection):
    """A connection to a transaction-mode pooler: each transaction may meet another session of the server.

    So nothing may be left in a session: no setting, no prepared statement, no LISTEN.
    """

    __slots__ = ()


def is_behind_pooler(connection: Driver) -> bool:
    """Tell; `isinstance` cannot, because asyncpg lets every connection pass for an instance of any of its classes."""
    return type(connection) is BehindPooler


class UnusableParameterError(OSError):
    """A parameter of `DATABASE_URL` turned out to be of no use; the message says which."""


@define(kw_only=True)
class Dialer:
    """Opens connections to a target, and finds out whether a transaction-mode pooler is in between.

    A pooler can be recognised: it invents the process id that a session gets at its start (PostgreSQL's own
    `pg_backend_pid()` differs), or refuses our settings. One that does neither is recognised by the first
    prepared statement that is lost: see `lost_statement`.
    """

    target: Target
    application_name: str
    settings: Mapping[str, str]
    """PostgreSQL's own, for each connection; a pooler does without them."""
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S
    pooled: bool | None = None
    """None: to be found out."""

    def __attrs_post_init__(self) -> None:
        self.pooled = self.target.pooled

    async def __call__(self) -> Driver:
        """Connect.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InternalClientError: none of the addresses would have us.
        """
        if not self.pooled:
            try:
                connection = await self._directly()
            except asyncpg.ProtocolViolationError as error:
                if self.pooled is False or not refuses_settings(error):
                    raise
                self.pooled = True
            else:
                if self.pooled is False or await _is_the_server(connection):
                    await connection.execute(_ON_CITUS)
                    return connection
                self.pooled = True
                await connection.close()
        return await self._through_pooler()

    def lost_statement(self) -> None:
        """A prepared statement was not there: connections from now on do without them."""
        if self.pooled is None:
            self.pooled = True

    async def _directly(self) -> Driver:
        return await _first_of(
            self.target,
            command_timeout=self.statement_timeout_s,
            server_settings={
                "jit": "off",
                "statement_timeout": f"{int((self.statement_timeout_s or 0) * 1000)}",
                "idle_in_transaction_session_timeout": "30000",
                **self.settings,
                "application_name": self.target.application_name
                or self.target.fallback_application_name
                or self.application_name,
                **({"search_path": self.target.search_path} if self.target.search_path else {}),
                **({"options": self.target.options} if self.target.options else {}),
            },
        )

    async def _through_pooler(self) -> Driver:
        if self.target.search_path:
            raise UnusableParameterError("schema")
        settings = {"application_name": self.target.application_name, "options": self.target.options}
        return await _first_of(
            self.target,
            command_timeout=self.statement_timeout_s,
            connection_class=BehindPooler,
            statement_cache_size=0,
            server_settings={name: value for name, value in settings.items() if value},
        )


def refuses_settings(error: asyncpg.PostgresError) -> bool:
    """Tell whether this is PgBouncer's answer to settings that it cannot keep for each client."""
    return "startup parameter" in str(error)


async def _is_the_server(connection: Driver) -> bool:
    # Not a prepared statement: a pooler might already have lost it.
    status = await connection.execute(f"SELECT 1 WHERE pg_backend_pid() = {connection.get_server_pid()}")
    return status == "SELECT 1"


@frozen
class _Attempt:
    host: str
    port: int
    encrypted: bool
    wanted: str


def _attempts(target: Target) -> list[_Attempt]:
    addresses = list(target.addresses)
    if target.shuffled:
        random.shuffle(addresses)
    attributes = ("standby", "any") if target.wanted == "prefer-standby" else (target.wanted,)
    return [
        _Attempt(host, port, encrypted, wanted)
        for wanted in attributes
        for host, port in addresses
        for encrypted in ((False,) if host.startswith("/") else target.tls.attempts())
    ]


async def _first_of(target: Target, **options: Any) -> Driver:
    """Return the first connection that is what the target wants."""
    # One silent address must not use up the time of all: a caller waits no longer than for a statement.
    timeout_s = target.connect_timeout_s or max(1.0, STATEMENT_TIMEOUT_S / len(target.addresses))
    errors: list[BaseException] = []
    for attempt in _attempts(target):
        try:
            async with asyncio.timeout(timeout_s):
                return await _open(target, attempt, options)
        except _NEXT_ADDRESS as error:
            errors.append(error)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.ProtocolViolationError) as error:
            # A server or a pooler may admit this user only with TLS, or only without; a wrong password stays wrong.
            if len(target.tls.attempts()) == 1 or isinstance(error, asyncpg.InvalidPasswordError):
                raise
            if refuses_settings(error):
                raise
            errors.append(error)
    # A server that was there and is only not what was asked for says more than one that was not.
    raise next((error for error in errors if not isinstance(error, OSError)), errors[0])


async def _open(target: Target, attempt: _Attempt, options: Mapping[str, Any]) -> Driver:
    try:
        context = target.tls.context() if attempt.encrypted else False
    except ValueError as error:
        raise UnusableParameterError(str(error)) from None
    options = {
        "host": attempt.host,
        "port": attempt.port,
        "user": target.user,
        "password": target.password,
        "database": target.database,
        "ssl": context,
        "direct_tls": target.tls.direct,
        "target_session_attrs": attempt.wanted,
        "timeout": None,
        **options,
    }
    try:
        connection: Driver = await asyncpg.connect(**options)
    except ConnectionError as error:
        if "SSL upgrade" in str(error):  # asyncpg has no error of its own for it
            raise ssl.SSLError("the server has no TLS") from error
        raise
    _keep_alive(connection, target.keepalives)
    return connection


def _keep_alive(connection: Driver, keepalives: Mapping[str, int]) -> None:
    """Notice a peer that is gone without a word, as libpq does."""
    transport: asyncio.Transport = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001  # no other way
    peer = transport.get_extra_info("socket")
    if peer is None or peer.family == socket.AF_UNIX:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keepalives.get("keepalives", 1))
    for name, option in _SOCKET_OPTIONS.items():
        if keepalives.get(name) and hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), keepalives[name])
