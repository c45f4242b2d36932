"""What PostgreSQL is asked and what it writes for a webhook and for a relayed event: counted, not timed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
from attrs import define, field

from support import proxy


@define
class Cost:
    """Of everything that was sent through a `Meter` in a block; complete when the block has ended."""

    statements: int = 0
    round_trips: int = 0
    wal_bytes: int = 0
    """Of the records of the transactions that wrote to our tables, whenever the last checkpoint was: each database that
    another test makes is one. After it a sequence logs its number, which is left out; and an image of a page stands
    for what was written there, so `full_page_writes` has to be off."""


@define(eq=False)
class Meter:
    """Counts what passes `between`, and reads the WAL on a connection of its own."""

    url: str
    """The database, through the proxy."""
    _sql: asyncpg.Connection
    _sent: dict[int, bytearray] = field(factory=dict)
    """By connection, what clients sent since the block began."""

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[Cost]:
        """Count what is sent in the block; nothing may be under way at its beginning or its end."""
        cost = Cost()
        self._sent.clear()
        start = await self._sql.fetchval("SELECT pg_current_wal_insert_lsn()")
        yield cost
        messages = "".join(kind for sent in self._sent.values() for kind in message_types(bytes(sent)))
        cost.statements = messages.count("E") + messages.count("Q")
        cost.round_trips = messages.count("S") + messages.count("Q")
        await self._sql.execute("SELECT pg_logical_emit_message(true, '', '')")  # so that a record ends it
        cost.wal_bytes = await self._sql.fetchval(_WAL, start)

    def note(self, connection: int, data: bytes) -> None:
        self._sent.setdefault(connection, bytearray()).extend(data)


@asynccontextmanager
async def meter(database_url: str) -> AsyncIterator[Meter]:
    """Run a meter before this database, whose role has to be a superuser."""
    address = urlsplit(database_url)
    assert address.hostname
    assert address.port
    sql = await asyncpg.connect(database_url)
    try:
        await sql.execute("CREATE EXTENSION pg_walinspect")
        made = Meter("", sql)
        with proxy.proxy(address.hostname, address.port, tap=made.note) as between:
            made.url = database_url.replace(f"{address.hostname}:{address.port}", between.address)
            yield made
    finally:
        await sql.close()


def message_types(sent: bytes) -> str:
    """Return the types of the whole messages in what a client sent (PostgreSQL's protocol, "Message Formats")."""
    types, at = "", 0
    while at < len(sent):
        types += chr(sent[at])
        at += 1 + int.from_bytes(sent[at + 1 : at + 5], "big")
    return types


_WAL = """
    WITH record AS MATERIALIZED (
        SELECT xid, record_length - fpi_length AS bytes, block_ref
        FROM pg_get_wal_records_info($1, pg_current_wal_flush_lsn())
        WHERE xid::text <> '0' AND resource_manager <> 'Sequence'
    ), ours AS (
        SELECT DISTINCT xid FROM record
        JOIN pg_database AS database ON datname = current_database()
        JOIN pg_class ON relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND block_ref LIKE format('%%/%s/%s fork main%%', database.oid, relfilenode)
    )
    SELECT coalesce(sum(bytes), 0)::bigint FROM record WHERE xid::text IN (SELECT xid::text FROM ours)
"""
