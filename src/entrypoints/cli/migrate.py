"""`auth-service migrate`: the database's schema."""

import asyncio

from entrypoints.configuration import load
from entrypoints.container import container_for
from entrypoints.settings import MigrateSettings


def migrate(*, revision: str = "head") -> None:
    """Bring the database to the schema this version expects; running it again changes nothing.

    Needs DATABASE_URL, with a role that may create tables. Run it before the new version serves: a new schema always
    fits the version before it too.

    Parameters
    ----------
    revision
        `head`, a revision to upgrade or downgrade to, or `base` to drop everything.
    """
    container = container_for(load(MigrateSettings))
    before, after = asyncio.run(container.migrate()(revision))
    print(f"Schema is at {after or 'base'}" + (f" (was {before or 'empty'})." if before != after else " already."))
