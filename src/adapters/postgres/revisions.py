"""The schema's revisions, by the names of the migrations: Alembic itself takes 0.2 s to import."""

from functools import cache
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the revisions that this version knows, oldest first (a test compares them with Alembic's)."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))
