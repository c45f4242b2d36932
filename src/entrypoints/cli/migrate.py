"""`auth-service migrate`: the database's schema."""

import asyncio

from entrypoints.configuration import load
from entrypoints.container import container_for
from entrypoints.settings import MigrateSettings


def migrate(*, revision: str = "head") -> None:
    """Bring the database to the schema this version expects; running it again changes nothing.

    Needs DATABASE_URL, with a role that may create tables. Run it before the new version serves: a new schema always
    fits the version before it too, so an older version leaves a newer schema as it is and ends well.

    Parameters
    ----------
    revision
        `head`, a revision to upgrade or downgrade to, or `base` to drop everything.
    """
    container = container_for(load(MigrateSettings))
    before, after, expected = asyncio.run(container.migrate()(revision))
    if before == after and after is not None and after > expected:
        print(f"Schema is at {after}, newer than {expected}, which this version expects; it fits, nothing was changed.")
    else:
        print(f"Schema is at {after or 'base'}" + (f" (was {before or 'empty'})." if before != after else " already."))
