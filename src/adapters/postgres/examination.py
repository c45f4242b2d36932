"""What `doctor` wants to know of the database."""

import time

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.faults import DATABASE_ERRORS, code_of
from adapters.postgres.migrate import revisions
from application.errors import StoreUnavailableError
from application.examination import DatabaseFacts

_FACTS = text("""
    SELECT current_setting('server_version') AS server,
           pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
           extract(epoch FROM clock_timestamp())::float8 AS now,
           (SELECT json_object_agg(name, setting) FROM pg_settings
            WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')) AS settings,
           (SELECT json_object_agg(option_name, option_value)
            FROM pg_class, pg_options_to_table(reloptions) WHERE oid = to_regclass('outbox')) AS options,
           coalesce(pg_total_relation_size(to_regclass('outbox')), 0) AS bytes
""")


async def examine_database(engine: AsyncEngine) -> DatabaseFacts:
    """Ask the database about itself.

    Raises:
        StoreUnavailableError: it does not answer; the message has the code of the error.
    """
    try:
        async with engine.begin() as connection:
            asked = time.time()
            row = (await connection.execute(_FACTS)).one()
            answered = time.time()
        revision, head = await revisions(engine)
    except DATABASE_ERRORS as error:
        raise StoreUnavailableError(f"PostgreSQL does not answer ({code_of(error)})") from None
    return DatabaseFacts(
        server=row.server,
        revision=revision,
        head=head,
        read_only=row.read_only,
        clock_ahead_s=row.now - (asked + answered) / 2,
        settings=row.settings,
        outbox_options=row.options or {},
        outbox_bytes=row.bytes,
    )
