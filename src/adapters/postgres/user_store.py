"""The write path of users: one read, the decisions, one write for each batch of changes."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from attrs import define, field
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.citus import is_distributed, read_on_worker, write_on_worker
from adapters.postgres.connection.dial import Driver, is_behind_pooler
from adapters.postgres.failures import DATABASE_ERRORS, Responsible, code_of, fault_of
from adapters.postgres.group_commit import Change, GroupCommit
from adapters.postgres.shards import ELSEWHERE, LEFT_ALONE_S, MOVED_S, Place, ShardMap, Workers
from adapters.postgres.statements import Stored, Write, read, write, write_and_notify
from application.errors import UnstorableError
from application.relay.messages import Encode
from application.users.ports import Decide
from domain.decision import Decision
from domain.user import Known, UserId

_Change: TypeAlias = Change[UserId, Known, Decision]

AroundBatch = Callable[[Sequence[_Change]], contextlib.AbstractContextManager[None]]
"""The context of a batch: a span, if tracing is on."""

_nothing = contextlib.nullcontext()


@define(eq=False)
class PostgresUserStore:
    """`UserStore` on PostgreSQL."""

    _engine: AsyncEngine
    _encode: Encode
    # Called with the number of events that a COMMIT stored without a notification; must not block.
    _on_commit: Callable[[int], None]
    _around_batch: AroundBatch = lambda _: _nothing
    # Tells that a write of so many events may notify relays itself: they are idle (ADR 0035).
    _is_first: Callable[[int, float], bool] = field(default=lambda *_: False, kw_only=True)
    _commits: GroupCommit[UserId, Known, Decision] = field(init=False)
    _distributed: bool | None = field(default=None, init=False)  # not known yet
    _workers: Workers = field(init=False)
    _shards: ShardMap = field(default=ShardMap(()), init=False)

    def __attrs_post_init__(self) -> None:
        self._commits = GroupCommit(self._attempt, name="user-store-writer", parts=self._by_worker)
        self._workers = Workers(self._engine)

    @property
    def waiting(self) -> int:
        return self._commits.waiting

    async def start(self) -> None:
        # So that the first webhook does not wait for a connection, the check of the standby and a prepared statement.
        with contextlib.suppress(*DATABASE_ERRORS):
            async with directly(self._engine, commits=True) as driver:
                await read(driver, [])
                self._distributed = await is_distributed(driver)
        self._commits.start()

    async def aclose(self) -> None:
        await self._commits.aclose()
        await self._workers.aclose()

    async def change(self, user_id: UserId, decide: Decide) -> Decision:
        return await self._commits.change(user_id, decide)

    async def _by_worker(self, batch: Sequence[_Change]) -> Sequence[Sequence[_Change]]:
        """Divide the batch by the server of the users, if there are several: each part commits on one."""
        if self._distributed is False:
            return [batch]
        try:
            if not self._distributed:
                async with directly(self._engine) as driver:
                    self._distributed = await is_distributed(driver)
            self._shards = await self._workers.shards() if self._distributed else ShardMap(())
        except DATABASE_ERRORS:
            self._shards = ShardMap(())
            return [batch]  # the attempt fails with the same error
        parts: dict[Place | None, list[_Change]] = {}
        for change in batch:
            parts.setdefault(self._shards.place_of(change.key), []).append(change)
        return list(parts.values())

    async def _attempt(self, batch: Sequence[_Change]) -> None:
        """Read, decide, write; a change without an answer afterwards lost a race."""
        place = self._shards.place_of(batch[0].key)
        engine = self._workers.at(place.address if place and place.direct else None)
        if place is None or engine is self._engine:
            load, store = (read_on_worker, write_on_worker) if self._distributed else (read, write)
            await self._attempt_on(engine, batch, load, store)
            return
        try:
            await self._attempt_on(engine, batch, place.read, place.write)
        except DATABASE_ERRORS as error:
            if fault_of(error) in (Responsible.RACE, Responsible.CHANGE):
                raise
            # Changes without an answer are retried, through the coordinator.
            self._workers.leave_alone(place.address, MOVED_S if code_of(error) in ELSEWHERE else LEFT_ALONE_S)

    async def _attempt_on(
        self,
        engine: AsyncEngine,
        batch: Sequence[_Change],
        load: Callable[[Driver, Sequence[UserId]], Awaitable[Mapping[UserId, Stored]]],
        store: Callable[[Driver, Sequence[Write]], Awaitable[set[UserId]]],
    ) -> None:
        with self._around_batch(batch):
            async with directly(engine, commits=True) as driver:
                known = await load(driver, [change.key for change in batch])
                decided = self._decide(batch, known)
                writes = [prepared for _, _, prepared in decided if prepared]
                events = sum([len(prepared.events) for prepared in writes])
                notifies = (
                    events > 0
                    and store is write
                    and not is_behind_pooler(driver)
                    and self._is_first(events, time.monotonic())
                )
                write_all = write_and_notify if notifies else store
                written = await write_all(driver, writes) if writes else ()
        # Behind a pooler this is the first moment after COMMIT.
        if events and not notifies:
            self._on_commit(events)
        for change, decision, prepared in decided:
            if prepared is None or change.key in written:
                change.answer.give(decision)

    def _decide(
        self, batch: Sequence[_Change], known: Mapping[UserId, Stored]
    ) -> list[tuple[_Change, Decision, Write | None]]:
        """Return the changes and what each writes, None if nothing; answer those that cannot be decided."""
        decided: list[tuple[_Change, Decision, Write | None]] = []
        for change in batch:
            stored = known.get(change.key)
            before = stored.user if stored else None
            try:
                decision = change.decide(before)
                if decision.user is before:
                    decided.append((change, decision, None))
                    continue
                messages = [self._encode(event, change.traceparent) for event in decision.events]
                prepared = Write.of(decision.user, stored.revision + 1 if stored else 1, messages)
            except UnicodeError:
                change.answer.fail(UnstorableError("a text that no encoding supports"))
            except Exception as error:  # noqa: BLE001  # one bad decision must not fail its neighbours
                change.answer.fail(error)
            else:
                decided.append((change, decision, prepared))
        return decided
