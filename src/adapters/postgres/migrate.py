"""Bringing the database to the schema that this version expects."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.faults import DATABASE_ERRORS
from application.errors import StoreUnavailableError

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7166_0001
"""An arbitrary number that only migrations of this service lock on."""

LOCK_TIMEOUT_MS = 4_000
"""Shorter than a webhook's patience for its statement: while a migration waits, writes wait behind it."""


async def migrate(engine: AsyncEngine, revision: str = "head") -> tuple[str | None, str | None]:
    """Upgrade or downgrade to `revision` (`base` is the empty database) and return the revisions before and after.

    Safe to run twice at once.

    Raises:
        StoreUnavailableError: the database is out of reach or refuses; the message is PostgreSQL's.
    """
    try:
        return await _locked(engine, revision)
    except DATABASE_ERRORS as error:
        raise StoreUnavailableError(
            f"The migration failed: {getattr(error, 'orig', error)}\n"
            "Check DATABASE_URL, the server, and that the role may create tables; running it again is safe."
        ) from error


async def _locked(engine: AsyncEngine, revision: str) -> tuple[str | None, str | None]:
    async with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
        # A deployment may start several of these: they queue here, and the later ones find nothing to do.
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        # A migration that waits for a table holds up everybody who comes after it, webhooks among them.
        await connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
        before = await connection.run_sync(_current)
        await connection.run_sync(_migrate, revision)
        return before, await connection.run_sync(_current)


async def revisions(engine: AsyncEngine) -> tuple[str | None, str | None]:
    """Return the database's revision and the newest one this version knows."""
    head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    async with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
        return await connection.run_sync(_current), head


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _migrate(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    current = _current(connection)
    forward = (
        revision == "head"
        or current is None
        or (revision in known and current in known and known.index(revision) <= known.index(current))
    )
    (command.upgrade if forward and revision != "base" else command.downgrade)(config, revision)
