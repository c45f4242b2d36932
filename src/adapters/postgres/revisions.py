"""The schema's revisions: those that this version knows, and that of a database."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from attrs import frozen
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from application.doctor.schema_state import SchemaState, schema_state

MIGRATIONS = Path(__file__).parent / "migrations"

# Other applications may have a table `users`, but not these.
_OWN_TABLES = text("""
    SELECT to_regclass('outbox_lane') IS NOT NULL AND to_regclass('outbox_dead') IS NOT NULL AS has_tables,
           to_regclass('alembic_version') IS NOT NULL AS is_versioned
""")
_VERSIONS = text("SELECT version_num FROM alembic_version ORDER BY version_num")


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the revisions that this version knows, oldest first."""
    # From the files' names: importing Alembic takes 0.2 s. A test compares the two.
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))


@frozen
class Schema:
    """The schema of a database."""

    revisions: Sequence[str]  # in `alembic_version`: one, or none yet; several are not ours
    has_tables: bool  # the tables of this service exist

    @property
    def revision(self) -> str | None:
        return ", ".join(self.revisions) or None

    @property
    def state(self) -> SchemaState:
        return schema_state(self.revisions, known_revisions(), has_tables=self.has_tables)


async def read_schema(connection: AsyncConnection) -> Schema:
    """Read it; errors are those of the connection."""
    found = (await connection.execute(_OWN_TABLES)).one()
    versions = (await connection.execute(_VERSIONS)).scalars().all() if found.is_versioned else ()
    return Schema(tuple(versions), found.has_tables)
