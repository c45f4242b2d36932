"""Opens connections, directly or through a transaction-mode pooler."""

from collections.abc import Mapping

import asyncpg
from attrs import define, field

from adapters.postgres.connection.driver import (
    STATEMENT_TIMEOUT_S,
    Abandoning,
    BehindPooler,
    Connection,
    Driver,
    UnusableParameterError,
    is_behind_pooler,
    refuses_settings,
)
from adapters.postgres.connection.route import Route
from adapters.postgres.connection.target import Target

__all__ = ("STATEMENT_TIMEOUT_S", "Dialer", "Driver", "is_behind_pooler")

ANSWER_MARGIN_S = 0.5
"""How much longer than the server the client waits: a slow server cancels the statement, and the connection stays."""

# What writers and relays rely on, whatever the database defaults to. Not a setting of the start: a pooler in session
# mode refuses those that its configuration does not name.
_READ_COMMITTED = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED;"

# Citus selects servers by the values; with a generic plan it would query all of them. Several shards of a server are
# faster one by one than on extra connections, because our statements are short. And it would hide shards from asyncpg's
# queries of types, which then take seconds.
_ON_CITUS = """
    SELECT set_config(name, value, false)
    FROM (VALUES ('plan_cache_mode', 'force_custom_plan'), ('citus.max_adaptive_executor_pool_size', '1'),
                 ('citus.override_table_visibility', 'off')) AS setting(name, value)
    WHERE to_regclass('pg_dist_partition') IS NOT NULL
"""


@define(kw_only=True)
class Dialer:
    """Opens connections to a target, and detects a transaction-mode pooler.

    A pooler sends another process id at the start of a session than `pg_backend_pid()`, or refuses our settings. One
    that does neither is detected by the first prepared statement that is lost: see `lost_statement`.
    """

    target: Target
    application_name: str
    settings: Mapping[str, str]  # PostgreSQL's, for each connection; not used with a pooler
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S
    of_shards: bool = False
    """Statements name shards of Citus: they are long, and planned by PostgreSQL."""
    pooled: bool | None = None  # None: to be detected
    losses: int = 0  # lost connections; those that are older than the last one are replaced too
    route: Route = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pooled = self.target.pooled
        self.route = Route(self.target)

    async def __call__(self) -> Driver:
        """Connect, or raise OSError, asyncpg.PostgresError, asyncpg.InternalClientError: no address accepts."""
        if not self.pooled:
            try:
                connection = await self._directly()
            except asyncpg.ProtocolViolationError as error:
                if self.pooled is False or not refuses_settings(error):
                    raise
                self.pooled = True
            else:
                try:
                    if self.pooled is False or await _is_the_server(connection):
                        await connection.execute(_READ_COMMITTED if self.of_shards else _READ_COMMITTED + _ON_CITUS)
                        return connection
                except BaseException:
                    connection.terminate()  # it has no owner yet, and the loop would keep it open
                    raise
                self.pooled = True
                await connection.close()
        return await self._through_pooler()

    def lost_statement(self) -> None:
        """A prepared statement did not exist: new connections do not use them."""
        if self.pooled is None:
            self.pooled = True

    async def _directly(self) -> Driver:
        timeout_s = self.statement_timeout_s
        return await self.route.connect(
            # A migration may run for long: if it is interrupted, its statement must be cancelled, to release its locks.
            connection_class=Connection if timeout_s is None else Abandoning,
            command_timeout=timeout_s and timeout_s + ANSWER_MARGIN_S,
            **({"max_cacheable_statement_size": 0} if self.of_shards else {}),  # no limit
            server_settings={
                "jit": "off",
                "statement_timeout": f"{int((timeout_s or 0) * 1000)}",
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
        return await self.route.connect(
            command_timeout=self.statement_timeout_s,
            connection_class=BehindPooler,
            statement_cache_size=0,
            server_settings={name: value for name, value in settings.items() if value},
        )


async def _is_the_server(connection: Driver) -> bool:
    # Not a prepared statement: a pooler may lose it.
    status = await connection.execute(f"SELECT 1 WHERE pg_backend_pid() = {connection.get_server_pid()}")
    return status == "SELECT 1"
