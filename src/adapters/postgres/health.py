"""Whether the database answers, is the one this version expects, and may be written."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.faults import connected
from adapters.postgres.revisions import known_revisions
from application.errors import StoreUnavailableError
from application.trouble import Trouble, told

# The users table is asked for nothing: that needs the right to read it.
_CHECK = text("""
    SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only,
           (SELECT version_num FROM alembic_version) AS revision,
           (SELECT count(*) FROM (SELECT FROM users LIMIT 0) AS nobody) AS nobody
""")


async def check_database(engine: AsyncEngine) -> None:
    """Ask for the connection, the rights and the migrated schema.

    Raises:
        StoreUnavailableError: it does not answer, takes no writes, or has an older schema than this version expects;
            a newer one is fine.
    """
    async with connected(engine) as connection:
        row = (await connection.execute(_CHECK)).one()
    if row.read_only:
        raise StoreUnavailableError(told("PostgreSQL", Trouble.READ_ONLY), Trouble.READ_ONLY)
    known = known_revisions()
    if row.revision != known[-1] and (row.revision is None or row.revision in known):
        behind = f"the schema is at {row.revision or 'nothing'}, this version expects {known[-1]}"
        raise StoreUnavailableError(told("PostgreSQL", Trouble.NOT_MIGRATED, behind), Trouble.NOT_MIGRATED)
