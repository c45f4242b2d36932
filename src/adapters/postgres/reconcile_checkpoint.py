"""Where an interrupted reconcile continues: one row, while a run is unfinished."""

from contextlib import suppress

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import Compiled
from adapters.postgres.failures import fetched
from adapters.postgres.rows import to_datetime
from application.reconcile.ports import Checkpoint

_RESUME = Compiled("""
    UPDATE reconcile_checkpoint SET run = :run WHERE state IS NOT NULL AND began_at > :began_after RETURNING state
""")
_BEGIN = Compiled("""
    INSERT INTO reconcile_checkpoint (id, run) VALUES (1, :run)
    ON CONFLICT (id) DO UPDATE SET run = EXCLUDED.run, began_at = NULL, state = NULL
""")
_SAVE = Compiled("UPDATE reconcile_checkpoint SET began_at = :began_at, state = :state WHERE run = :run")
_FINISH = Compiled("DELETE FROM reconcile_checkpoint WHERE run = :run")


class PostgresCheckpoints:
    """`Checkpoints` on PostgreSQL, which survive the loss of a container."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(self, run: str, *, began_after: int) -> Checkpoint | None:
        for row in await fetched(self._engine, _RESUME, {"run": run, "began_after": to_datetime(began_after)}):
            with suppress(msgspec.ValidationError):  # of another version of this service
                return msgspec.json.decode(row["state"], type=Checkpoint)
        await fetched(self._engine, _BEGIN, {"run": run})
        return None

    async def save(self, run: str, checkpoint: Checkpoint) -> None:
        state = msgspec.json.encode(checkpoint).decode()
        saved = {"run": run, "began_at": to_datetime(checkpoint.began_at), "state": state}
        await fetched(self._engine, _SAVE, saved)

    async def finish(self, run: str) -> None:
        await fetched(self._engine, _FINISH, {"run": run})
