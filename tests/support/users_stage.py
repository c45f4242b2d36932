"""A database, Clerk's stand-in, and `auth-service users …` on both, as a person and as a script use it."""

import asyncio
import json
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import asyncpg
from attrs import frozen

from adapters.clerk.payloads import snapshot_of
from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.user_store import PostgresUserStore
from domain.sync_user import sync_user
from support import commands
from support.clerk_stand_in import RunningStandIn

Answer = subprocess.CompletedProcess[str]


@frozen
class Stage:
    database_url: str
    folder: Path
    clerk: RunningStandIn

    async def run(
        self,
        *arguments: str,
        command: str = "users",
        through: str | None = None,
        to: int | None = None,
        meanwhile: Callable[[int], Awaitable[None]] | None = None,
        **variables: str,
    ) -> Answer:
        """Run `auth-service users`, or another command, with these arguments; an empty variable is not set.

        A shell pipes its output to `through`, or it goes to the descriptor `to`; `meanwhile` is given its process id.
        """
        ours = {
            "DATABASE_URL": self.database_url,
            "CLERK_SECRET_KEY": self.clerk.secret_key,
            "CLERK_API_URL": self.clerk.url,
            **variables,
        }
        with tempfile.TemporaryFile() as shown, tempfile.TemporaryFile() as errors:
            with _destination(through, shown, errors) as output:
                process = commands.start(
                    command, *arguments, cwd=self.folder, env=ours, output=to or output, errors=errors.fileno()
                )
                try:
                    if meanwhile:
                        await meanwhile(process.pid)
                    status = await asyncio.to_thread(process.wait, 60)
                finally:
                    process.kill()
            return Answer([command, *arguments], status, commands.text_of(shown), commands.text_of(errors))

    async def json(self, *arguments: str) -> tuple[list[dict[str, Any]], int]:
        """Run it with --json, and return the objects and the exit status."""
        answer = await self.run(*arguments, "--json")
        return [json.loads(line) for line in answer.stdout.splitlines()], answer.returncode

    async def sign_up(self, user: str, **fields: Any) -> None:
        """Make a user at Clerk, and let us know of it as a webhook would."""
        await self.take_in(self.clerk.instance.create(user, **fields))

    async def take_in(self, document: Any) -> None:
        """Store what Clerk has of a user, as its webhook would."""
        snapshot = snapshot_of(json.dumps(document).encode(), timestamp=document["updated_at"])
        engine = create_engine(read_target(self.database_url), pool_size=1, application_name="tests")
        store = PostgresUserStore(engine, encode, lambda _: None)
        await store.start()
        await store.change(snapshot.id, partial(sync_user, snapshot=snapshot))
        await store.aclose()
        await engine.dispose()

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def events(self) -> list[tuple[str, int, str]]:
        """Every event that waits: whose, which version, and the last word of its kind."""
        rows = await self.rows("SELECT key, version, split_part(type, '.', 3) FROM outbox ORDER BY id")
        return [(key, version, kind) for key, version, kind in rows]


@contextmanager
def _destination(through: str | None, shown: IO[bytes], errors: IO[bytes]) -> Iterator[int]:
    """Yield the descriptor that a command writes to; afterwards the shell that read it has ended."""
    if not through:
        yield shown.fileno()
        return
    with subprocess.Popen(["sh", "-c", through], stdin=subprocess.PIPE, stdout=shown, stderr=errors) as shell:
        assert shell.stdin
        yield shell.stdin.fileno()
