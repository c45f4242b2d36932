"""Connections to PostgreSQL, from the URL as everyone writes it."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec
from sqlalchemy import event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

STATEMENT_TIMEOUT_S = 5.0
"""How long one statement may take before its caller hears that the database is unavailable."""

READ_ONLY = "25006"
"""SQLSTATE of a server that takes no writes (PostgreSQL documentation, appendix A)."""

# asyncpg takes what it does not know for settings of the server, which then refuses the connection. These are libpq's
# and Prisma's for the client; the bounds they set are ours to set.
_NOT_FOR_THE_SERVER = (
    *("channel_binding", "connect_timeout", "fallback_application_name", "gssencmode", "sslsni", "tcp_user_timeout"),
    *("keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval"),
    *("connection_limit", "pool_timeout", "socket_timeout"),
)


def create_engine(
    database_url: str,
    *,
    pool_size: int,
    application_name: str,
    settings: Mapping[str, str] | None = None,
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
) -> AsyncEngine:
    """Return an engine; nothing is connected yet.

    `settings` are PostgreSQL's own, for each connection; a pooler does without them. Without a statement timeout a
    migration may build an index for as long as it takes.

    `database_url` is a libpq URL (`postgresql://user:password@host:5432/db?sslmode=require`); asyncpg reads it
    itself. `?pgbouncer=true`, as Prisma and Supabase write it, says that a transaction-mode pooler is in between.
    """
    url, pooled = _split_pooler_flag(database_url)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": partial(
                _connect,
                url,
                pooled=pooled,
                application_name=application_name,
                settings=settings or {},
                statement_timeout_s=statement_timeout_s,
            ),
            # Older poolers keep no named statements for a client: the unnamed one lives inside the transaction.
            **({"prepared_statement_cache_size": 0, "prepared_statement_name_func": str} if pooled else {}),
        },
        # Every use of the engine is one statement; only behind a pooler it needs a transaction around it, so that
        # its PREPARE and EXECUTE meet the same server connection.
        isolation_level="READ COMMITTED" if pooled else "AUTOCOMMIT",
        execution_options={"pooled": pooled},
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_S,
        pool_use_lifo=True,
        hide_parameters=True,  # they are personal data, and errors are logged
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
    )
    event.listen(engine.sync_engine, "handle_error", _leave_a_server_that_became_read_only)
    return engine


def _leave_a_server_that_became_read_only(context: ExceptionContext) -> None:
    """After a failover old connections may still reach the old primary: drop them and look the name up anew."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


async def connect(database_url: str, *, application_name: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection outside any pool, for what needs a session of its own (LISTEN)."""
    url, pooled = _split_pooler_flag(database_url)
    return await _connect(url, pooled=pooled, application_name=application_name, settings={})


def is_pooled(database_url: str) -> bool:
    """Tell whether the URL says that a transaction-mode pooler is in between: then there are no sessions."""
    return _split_pooler_flag(database_url)[1]


async def _connect(
    url: str,
    *,
    pooled: bool,
    application_name: str,
    settings: Mapping[str, str],
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
) -> "asyncpg.Connection[asyncpg.Record]":
    options: dict[str, Any] = {}
    if pooled:
        options = {"statement_cache_size": 0}
    else:
        # A pooler refuses start-up parameters it does not know, and would keep them for the next client.
        options = {
            "server_settings": {
                "application_name": application_name,
                "jit": "off",
                "statement_timeout": f"{int((statement_timeout_s or 0) * 1000)}",
                "idle_in_transaction_session_timeout": "30000",
                **settings,
            }
        }
    return await asyncpg.connect(url, timeout=STATEMENT_TIMEOUT_S, command_timeout=statement_timeout_s, **options)


def _split_pooler_flag(database_url: str) -> tuple[str, bool]:
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    pooled = query.pop("pgbouncer", "") == "true"
    for name in _NOT_FOR_THE_SERVER:
        query.pop(name, None)
    if schema := query.pop("schema", None):  # Prisma's word
        query["search_path"] = schema
    return urlunsplit(parts._replace(query=urlencode(query))), pooled
