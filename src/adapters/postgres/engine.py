"""The pool of connections to PostgreSQL that a process has."""

from collections.abc import Mapping

from sqlalchemy import event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S, Dialer
from adapters.postgres.connection.target import Target

POOL_SIZE = 8  # connections of one process: one writes at a time (group commit), one wakes relays, the rest read
READ_ONLY = "25006"  # SQLSTATE of a server that takes no writes (PostgreSQL documentation, appendix A)


def create_engine(  # noqa: PLR0913  # what its connections differ in
    target: Target,
    *,
    pool_size: int = POOL_SIZE,
    application_name: str = "auth-service",
    settings: Mapping[str, str] | None = None,
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
    of_shards: bool = False,
    tells_losses: bool = False,
) -> AsyncEngine:
    """Return an engine; nothing is connected yet.

    `settings` are PostgreSQL's own, for each connection; a pooler does without them. Without a statement timeout a
    migration may build an index for as long as it takes. `of_shards`: its statements name shards of a Citus cluster.
    A connection that was closed while nobody used it is replaced without an error, unless the engine `tells_losses`:
    the next server may have lost commits.
    """
    dialer = Dialer(
        target=target,
        application_name=application_name,
        settings=settings or {},
        statement_timeout_s=statement_timeout_s,
        of_shards=of_shards,
    )
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": dialer,
            # Whether there is a pooler is known after the first connection, so SQLAlchemy always works as behind one:
            # unnamed statements, in transactions, which a pooler keeps in one session of the server.
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
        isolation_level="READ COMMITTED",
        execution_options={"dialer": dialer},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_S,
        pool_use_lifo=True,
        hide_parameters=True,  # they are personal data, and errors are logged
        json_deserializer=str,  # the driver's too: the reader of a column knows its type
    )
    event.listen(engine.sync_engine, "handle_error", _leave_a_former_primary)

    def leave_the_lost(_driver: object, connection: ConnectionPoolEntry, _proxy: object) -> None:
        """Have the pool replace a connection that is closed, or older than one that `asyncpg_execution` lost.

        Servers and what is between close idle connections: at a restart, or after `idle_session_timeout`.
        """
        driver = connection.driver_connection
        assert driver  # noqa: S101  # it was made before it is checked out
        is_older = connection.info.setdefault("losses", dialer.losses) < dialer.losses
        if is_older or (not tells_losses and driver.is_closed()):
            # Its peer may be unreachable too: the pool would close it in order, and wait 2 s for the answer.
            driver.terminate()
            raise DisconnectionError

    event.listen(engine.sync_engine, "checkout", leave_the_lost)
    return engine


def _leave_a_former_primary(context: ExceptionContext) -> None:
    """After a failover old connections may still reach the former primary: drop them."""
    error = context.original_exception
    if getattr(error, "sqlstate", None) == READ_ONLY or isinstance(error, TimeoutError):
        context.is_disconnect = True
