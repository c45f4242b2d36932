"""Opening connections: as this service needs them, directly or through a transaction-mode pooler."""

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
"""How much longer than the server the client waits: a server that is only slow says so itself, and is kept."""

# Citus picks the servers by the values; with a generic plan, which has none, it would ask all of them. What it asks of
# several shards of a server goes faster one by one than on connections made for it, because our statements are short.
# And it would hide shards from asyncpg's questions about types, which then take seconds.
_ON_CITUS = """
    SELECT set_config(name, value, false)
    FROM (VALUES ('plan_cache_mode', 'force_custom_plan'), ('citus.max_adaptive_executor_pool_size', '1'),
                 ('citus.override_table_visibility', 'off')) AS setting(name, value)
    WHERE to_regclass('pg_dist_partition') IS NOT NULL
"""


@define(kw_only=True)
class Dialer:
    """Opens connections to a target, and finds out whether a transaction-mode pooler is in between.

    A pooler can be recognised: it invents the process id that a session gets at its start (PostgreSQL's own
    `pg_backend_pid()` differs), or refuses our settings. One that does neither is recognised by the first
    prepared statement that is lost: see `lost_statement`.
    """

    target: Target
    application_name: str
    settings: Mapping[str, str]  # PostgreSQL's own, for each connection; a pooler does without them
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S
    of_shards: bool = False
    """Statements name the shards of Citus themselves: they are long, and their plans are PostgreSQL's."""
    pooled: bool | None = None  # None: to be found out
    losses: int = 0  # how many connections were found lost: those that are older than the last one are given up too
    route: Route = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pooled = self.target.pooled
        self.route = Route(self.target)

    async def __call__(self) -> Driver:
        """Connect, or raise OSError, asyncpg.PostgresError, asyncpg.InternalClientError: no address would have us."""
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
                        if not self.of_shards:
                            await connection.execute(_ON_CITUS)
                        return connection
                except BaseException:
                    connection.terminate()  # nobody else has it, and the loop would keep it open
                    raise
                self.pooled = True
                await connection.close()
        return await self._through_pooler()

    def lost_statement(self) -> None:
        """A prepared statement was not there: connections from now on do without them."""
        if self.pooled is None:
            self.pooled = True

    async def _directly(self) -> Driver:
        timeout_s = self.statement_timeout_s
        return await self.route.connect(
            # A migration may run for long: when it is interrupted, its statement must not hold its locks any longer.
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
    # Not a prepared statement: a pooler might already have lost it.
    status = await connection.execute(f"SELECT 1 WHERE pg_backend_pid() = {connection.get_server_pid()}")
    return status == "SELECT 1"
