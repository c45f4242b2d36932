"""Migrates the database to the schema that this version expects."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.citus import create_functions
from adapters.postgres.connection.target import Target
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import DATABASE_ERRORS, cause_of, code_of, words_of_server
from adapters.postgres.health import require_utf8
from adapters.postgres.revisions import MIGRATIONS, Schema, known_revisions, read_schema
from application.doctor.schema_state import SchemaState
from application.errors import StoreUnavailableError
from application.failure import Cause

LOCK = 7166_0001  # an arbitrary number that only migrations of this service lock on

LOCK_TIMEOUT_MS = 4_000
"""Shorter than the statement timeout of a webhook: while a migration waits for a lock, writes wait behind it."""

HEAD = "head"


async def migrate(engine: AsyncEngine, revision: str = HEAD) -> tuple[str | None, str | None]:
    """Upgrade or downgrade to `revision` (`base` is the empty database) and return the revisions before and after.

    Safe to repeat and to run concurrently. A newer release's schema is not changed. StoreUnavailableError says what to
    do.
    """
    try:
        return await _locked(engine, revision)
    except CommandError as error:
        raise StoreUnavailableError(f"the migration failed: {error}", Cause.CONFIGURATION) from error
    except DATABASE_ERRORS as error:
        what = f"the migration failed, running it again is safe: {words_of_server(error) or code_of(error)}"
        raise StoreUnavailableError(what, cause_of(error)) from error


async def migrate_at(target: Target, revision: str = HEAD) -> tuple[str | None, str | None, str]:
    """Do as `migrate` on a connection made for it, and return the revision that this version expects as well."""
    engine = create_engine(target, pool_size=1, application_name="auth-service-migrate", statement_timeout_s=None)
    try:
        return *await migrate(engine, revision), known_revisions()[-1]
    finally:
        await engine.dispose()


async def _locked(engine: AsyncEngine, revision: str) -> tuple[str | None, str | None]:
    async with engine.begin() as connection:
        await require_utf8(connection)
        # A deployment may start several of these: they wait here, and the later ones find nothing to do.
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        # A migration that waits for a table blocks all later statements, webhooks among them.
        await connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
        before = await _migratable(connection, revision)
        if before.state is not SchemaState.NEWER:
            await connection.run_sync(_migrate, before.revision, revision)
            await create_functions(connection)
        return before.revision, (await read_schema(connection)).revision


async def _migratable(connection: AsyncConnection, revision: str) -> Schema:
    schema = await read_schema(connection)
    if schema.state is SchemaState.FOREIGN:
        why = "not a revision of this service" if schema.has_tables else "and the tables of this service are missing"
        what = f"alembic_version is at {schema.revision}, {why}; nothing was changed"
        raise StoreUnavailableError(what, Cause.FOREIGN_SCHEMA)
    if schema.state is SchemaState.NEWER and revision != HEAD:
        what = (
            f"the schema is at {schema.revision}, newer than {known_revisions()[-1]}: only the release that made it "
            "can downgrade it; nothing was changed"
        )
        raise StoreUnavailableError(what, Cause.CONFIGURATION)
    return schema


def _migrate(connection: Connection, current: str | None, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    forward = (
        revision == HEAD
        or current is None
        or (revision in known and current in known and known.index(revision) <= known.index(current))
    )
    (command.upgrade if forward and revision != "base" else command.downgrade)(config, revision)
