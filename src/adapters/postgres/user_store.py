"""The write path of users: one read, the decisions, one write for each batch of changes."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from attrs import evolve
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.connection.dial import STATEMENT_TIMEOUT_S
from adapters.postgres.failures import DATABASE_ERRORS
from adapters.postgres.group_commit import QUEUE_LIMIT, Change, GroupCommit
from adapters.postgres.statements import Stored, Write, read, write
from application.errors import UnstorableError
from application.relay.messages import Encode
from application.users.ports import Decide
from domain.decision import Decision
from domain.user import Known, UserId

_Change: TypeAlias = Change[UserId, Known, Decision]

AroundBatch = Callable[[Sequence[_Change]], contextlib.AbstractContextManager[None]]
"""What a batch runs in: a span, when there are traces."""

_nothing = contextlib.nullcontext()


class PostgresUserStore:
    """`UserStore` on PostgreSQL."""

    def __init__(  # noqa: PLR0913  # its ports, and two bounds
        self,
        engine: AsyncEngine,
        encode: Encode,
        on_commit: Callable[[], None],
        around_batch: AroundBatch = lambda _: _nothing,
        *,
        limit_s: float = STATEMENT_TIMEOUT_S,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        """`on_commit` is called after a COMMIT that stored events, and must not block.

        `limit_s` is how long a caller waits for its answer.
        """
        self._engine = engine
        self._encode = encode
        self._on_commit = on_commit
        self._around_batch = around_batch
        self._commits: GroupCommit[UserId, Known, Decision] = GroupCommit(
            self._attempt, name="user-store-writer", limit_s=limit_s, queue_limit=queue_limit
        )

    @property
    def waiting(self) -> int:
        """Return how many changes have no answer yet."""
        return self._commits.waiting

    async def start(self) -> None:
        # The first webhook should not be the one to pay for a connection and for preparing the statement.
        with contextlib.suppress(*DATABASE_ERRORS):
            async with directly(self._engine) as driver:
                await read(driver, [])
        self._commits.start()

    async def aclose(self) -> None:
        """Finish what waits, bounded by the statement timeout, then stop."""
        await self._commits.aclose()

    async def change(self, user_id: UserId, decide: Decide) -> Decision:
        """See `UserStore.change`."""
        return await self._commits.change(user_id, decide)

    async def _attempt(self, batch: Sequence[_Change]) -> None:
        """Read, decide, write; a change without an answer afterwards lost a race."""
        with self._around_batch(batch):
            async with directly(self._engine, commits=True) as driver:
                decided = self._decide(batch, await read(driver, [change.key for change in batch]))
                if not decided:
                    return
                has_events = any(prepared.events for _, _, prepared in decided)
                written = await write(driver, [prepared for _, _, prepared in decided])
        # Behind a pooler this is the first moment after COMMIT.
        if has_events:
            self._on_commit()
            # A turn of the loop for the wake-up to leave before answers are composed: 0.3 ms of an idle relay's time.
            await asyncio.sleep(0)
        for change, decision, _ in decided:
            if change.key in written:
                change.answer.give(decision)

    def _decide(
        self, batch: Sequence[_Change], known: Mapping[UserId, Stored]
    ) -> list[tuple[_Change, Decision, Write]]:
        """Return what has to be written, and answer what has not."""
        decided: list[tuple[_Change, Decision, Write]] = []
        for change in batch:
            stored = known.get(change.key)
            before = stored.user if stored else None
            try:
                decision = change.decide(before)
                if decision.user is before:
                    change.answer.give(decision)
                    continue
                messages = [evolve(self._encode(event), traceparent=change.traceparent) for event in decision.events]
                prepared = Write.of(decision.user, stored.revision + 1 if stored else 1, messages)
            except UnicodeError:
                change.answer.fail(UnstorableError("a text that no encoding can carry"))
            except Exception as error:  # noqa: BLE001  # one bad decision must not fail its neighbours
                change.answer.fail(error)
            else:
                decided.append((change, decision, prepared))
        return decided
