"""`auth-service migrate`: the database's schema."""

import asyncio

from entrypoints.cli.confirmation import Yes, confirm
from entrypoints.cli.exit_codes import EX_USAGE
from entrypoints.cli.startup import container_for
from entrypoints.cli.terminal import fail
from entrypoints.composition.database import DatabaseContainer
from entrypoints.config.settings import MigrateSettings


def migrate(*, revision: str = "head", distribute: bool = False, yes: Yes = False) -> None:
    """Migrate the database to the schema that this version expects; running it again changes nothing.

    Needs DATABASE_URL, with a role that may create tables. Run it before the new version serves: a new schema always
    works with the previous version too, so an older version leaves a newer schema unchanged and ends with 0.

    Args:
        revision: `head`, a revision to upgrade or downgrade to, or `base` to drop everything. Asks first when it is not
            `head`, because a downgrade drops what the newer schema has stored.
        distribute: Then distribute users, their events and sessions over the servers of a Citus cluster, by user id.
            Asks first, because it cannot be undone by a command. The service may run meanwhile (docs/citus.md).
    """
    container = container_for(DatabaseContainer, MigrateSettings)
    if distribute:
        if revision != "head":
            fail("--distribute needs the newest schema: leave --revision out.", EX_USAGE)
        confirm("Distribute all users over the servers of the Citus cluster?", yes=yes)
    if revision != "head":
        question = (
            "Drop all tables, with all users and events?"
            if revision == "base"
            else f"Bring the schema to {revision}? What only a newer schema holds is deleted."
        )
        confirm(question, yes=yes)
    before, after, expected = asyncio.run(container.migrate(revision))
    if before == after and after is not None and after > expected:
        print(f"Schema is at {after}, newer than {expected}, which this version expects; it fits, nothing was changed.")
    else:
        print(f"Schema is at {after or 'base'}" + (f" (was {before or 'empty'})." if before != after else " already."))
    if distribute:
        asyncio.run(_distribute(container))


async def _distribute(container: DatabaseContainer) -> None:
    done = 0
    async for table in container.distribute():
        print(f"{table} is distributed.", flush=True)
        done += 1
    print("Restart serve: until then it writes as on one server, and slower." if done else "Distributed already.")
