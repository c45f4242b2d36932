"""Users that change all the time, written straight into the database."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from attrs import define, field

from adapters.kafka.cloudevents import encode
from adapters.postgres.connection.target import read_target
from adapters.postgres.engine import create_engine
from adapters.postgres.notifier import OutboxNotifier
from adapters.postgres.user_store import PostgresUserStore
from application.errors import StoreUnavailableError
from domain.decision import Decision
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from domain.user import UserId
from support.users import deletion, snapshot


@define(eq=False)
class Writer:
    """Gives each of its users one version after the other."""

    store: PostgresUserStore
    users: list[str]
    newest: dict[str, int] = field(factory=dict)
    """By user, the version that was last committed."""
    _times: itertools.count = field(factory=lambda: itertools.count(1000))  # type: ignore[type-arg]

    async def change(self, user: str, *, size: int = 0) -> None:
        """Store one more version of the user; `size` adds so many bytes to its event."""
        at = next(self._times)
        news = snapshot(UserId(user), at=at, public_metadata={"n": at, "pad": "x" * size})
        decision: Decision = await self.store.change(news.id, partial(sync_user, snapshot=news))
        assert decision.user is not None
        self.newest[user] = decision.user.version

    async def delete(self, user: str) -> None:
        """Delete the user, for good."""
        gone = deletion(UserId(user))
        decision: Decision = await self.store.change(gone.id, partial(delete_user, deletion=gone))
        assert decision.user is not None
        self.newest[user] = decision.user.version

    async def changes(self, rounds: int) -> None:
        """Store so many versions of each user."""
        for _ in range(rounds):
            await asyncio.gather(*(self.change(user) for user in self.users))

    async def keep_changing(self, pause: float = 0.01) -> None:
        """Store versions until cancelled, through whatever happens to the database."""
        for user in itertools.cycle(self.users):
            try:
                await self.change(user)
            except StoreUnavailableError:
                await asyncio.sleep(0.2)
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def changing(self, pause: float = 0.01) -> AsyncIterator[None]:
        """Keep changing in the background; afterwards `newest` is what is stored, unless a COMMIT went unanswered."""
        task = asyncio.create_task(self.keep_changing(pause))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # One last, undisturbed version each: it tells the version that really is the newest.
            await self.changes(1)


@asynccontextmanager
async def writer(database_url: str, *, users: int = 8) -> AsyncIterator[Writer]:
    engine = create_engine(read_target(database_url), pool_size=4, application_name="tests")
    wake = OutboxNotifier(engine)
    store = PostgresUserStore(engine, encode, wake.add)
    await wake.start()
    await store.start()
    try:
        yield Writer(store, [f"user_{number}" for number in range(users)])
    finally:
        await store.aclose()
        await wake.aclose()
        await engine.dispose()
