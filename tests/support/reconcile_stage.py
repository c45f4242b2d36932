"""A database, Clerk's stand-in, and `auth-service reconcile` between them."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
from attrs import define

from adapters.clerk.payloads import snapshot_of
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.user_directory import PostgresUserDirectory
from domain.user import Profile, Tombstone, UserId
from support import commands
from support.clerk_stand_in import RunningStandIn


@define
class Stage:
    """A database and a Clerk, and the command between them."""

    database_url: str
    clerk: RunningStandIn
    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        return {"DATABASE_URL": self.database_url, **self.clerk.environment}

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        ours = {**self.variables, **variables}
        return commands.run("reconcile", "--yes", *arguments, cwd=self.folder, env=ours, within=120)

    def summary(self, *arguments: str, status: int = 0, **variables: str) -> dict[str, Any]:
        done = self.run("--json", *arguments, **variables)
        assert done.returncode == status, done.stdout + done.stderr
        summary: dict[str, Any] = json.loads(done.stdout)
        return summary

    def at_clerk(self) -> dict[str, Profile]:
        instance = self.clerk.instance
        documents = (json.dumps(instance.get(user_id)) for user_id in instance.user_ids())
        snapshots = (snapshot_of(text, timestamp=None) for text in documents)
        return {snapshot.id: snapshot.profile for snapshot in snapshots}

    async def here(self) -> dict[str, Profile | None]:
        """By id, what we hold; None for a tombstone."""
        ids = [UserId(row[0]) for row in await self.rows("SELECT id FROM users")]
        engine = create_engine(read_target(self.database_url), pool_size=1, application_name="tests")
        known = await PostgresUserDirectory(engine).get_many(ids)
        await engine.dispose()
        return {user_id: None if isinstance(user, Tombstone) else user.profile for user_id, user in known.items()}

    async def living(self) -> dict[str, Profile]:
        return {user_id: profile for user_id, profile in (await self.here()).items() if profile}

    async def events(self) -> Counter[tuple[str, str]]:
        """(user, kind) → how many."""
        rows = await self.rows("SELECT key, split_part(type, '.', 3) FROM outbox")
        return Counter((row[0], row[1]) for row in rows)

    async def rows(self, statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()


def found(summary: dict[str, Any]) -> dict[str, int]:
    """What differed, and how many."""
    return {drift: counts["found"] for drift, counts in summary["differences"].items() if counts["found"]}
