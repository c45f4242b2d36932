"""Whether the database answers, is the one this version expects, and may be written."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.citus import FUNCTIONS_MISSING, WRITER, users_are_distributed
from adapters.postgres.failures import connected
from adapters.postgres.revisions import known_revisions, read_schema
from application.doctor.schema_state import SchemaState
from application.errors import StoreUnavailableError
from application.failure import Cause

ENCODING = "UTF8"

_ENCODING = text("SELECT current_setting('server_encoding')")
_STATE = text(f"""
    SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only,
           {FUNCTIONS_MISSING} AS functions_missing
""")
# It returns no row, but needs the right to read.
_USERS = text("SELECT FROM users LIMIT 0")


async def check_database(engine: AsyncEngine) -> None:
    """Check connection, encoding, rights and schema, which may be newer, or raise StoreUnavailableError."""
    async with connected(engine) as connection:
        await require_utf8(connection)
        state = (await connection.execute(_STATE)).one()
        schema = await read_schema(connection)
        if state.read_only:
            raise StoreUnavailableError(cause=Cause.READ_ONLY)
        if schema.state is SchemaState.FOREIGN:
            raise StoreUnavailableError(f"alembic_version is at {schema.revision}", Cause.FOREIGN_SCHEMA)
        if schema.state in (SchemaState.EMPTY, SchemaState.BEHIND):
            says = f"the schema is at {schema.revision or 'nothing'}, this version expects {known_revisions()[-1]}"
            raise StoreUnavailableError(says, Cause.NOT_MIGRATED)
        if state.functions_missing and await users_are_distributed(connection):
            raise StoreUnavailableError(f"Citus lacks the function {WRITER}", Cause.NOT_MIGRATED)
        await connection.execute(_USERS)


async def require_utf8(connection: AsyncConnection) -> None:
    """Raise StoreUnavailableError for another encoding, which lacks most letters."""
    encoding = (await connection.execute(_ENCODING)).scalar()
    if encoding != ENCODING:
        raise StoreUnavailableError(f"encoding {encoding}", Cause.ENCODING)
