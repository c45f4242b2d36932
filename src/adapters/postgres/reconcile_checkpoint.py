"""Where an interrupted reconcile goes on: one row, while there is an unfinished run."""

from contextlib import suppress

import msgspec
from sqlalchemy import ColumnElement, delete, null, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.failures import connected
from adapters.postgres.rows import to_datetime
from adapters.postgres.tables import reconcile_checkpoint as table
from application.reconcile.options import Checkpoint

_THE_ROW = 1


class PostgresCheckpoints:
    """`Checkpoints` on PostgreSQL: what survives a container that dies with its disk."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(self, run: str, *, began_after: int) -> Checkpoint | None:
        resumed = (
            update(table)
            .where(table.c.state.is_not(None), table.c.began_at > to_datetime(began_after))
            .values(run=run)
            .returning(table.c.state)
        )
        anew = {"run": run, "began_at": None, "state": null()}
        begun = insert(table).values(id=_THE_ROW, **anew).on_conflict_do_update(index_elements=["id"], set_=anew)
        async with connected(self._engine) as connection:
            state = (await connection.execute(resumed)).scalar_one_or_none()
            if state is not None:
                with suppress(msgspec.ValidationError):  # of another version of this service
                    return msgspec.convert(state, Checkpoint)
            await connection.execute(begun)
            return None

    async def save(self, run: str, checkpoint: Checkpoint) -> None:
        statement = (
            update(table)
            .where(_is(run))
            .values(began_at=to_datetime(checkpoint.began_at), state=msgspec.to_builtins(checkpoint))
        )
        async with connected(self._engine) as connection:
            await connection.execute(statement)

    async def finish(self, run: str) -> None:
        async with connected(self._engine) as connection:
            await connection.execute(delete(table).where(_is(run)))


def _is(run: str) -> ColumnElement[bool]:
    return table.c.run == run
