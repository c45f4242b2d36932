"""Replicas: standbys of the primary, each read only while it follows closely."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

from attrs import define, evolve, field, frozen
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.citus import HOLDER
from adapters.postgres.connection.dial import Driver
from adapters.postgres.connection.target import Target
from adapters.postgres.engine import create_engine
from adapters.postgres.failures import connected, raised_as_unavailable
from adapters.postgres.rows import user_from
from adapters.postgres.statements import BY_KEY, READ_AT_REPLICA, read_with_sessions
from adapters.postgres.user_directory import BY_EMAIL_AT_REPLICA, living, storable
from adapters.postgres.user_reader import PostgresUserReader
from application.errors import StoreUnavailableError
from application.failure import REPLICA, Cause, Failure
from application.users.ports import SignedIn
from application.users.replica import NOT_ASKED, is_close
from domain.session import SessionId
from domain.user import Tombstone, User, UserId

READ_LIMIT_S = 1.0
"""For one read, which takes a millisecond or two; after it the primary is read, with its own time limit."""

LOOK_EVERY_S = 1.0

COMMIT_AFTER_S = 1.0
"""After so long without a replayed commit one is made at the primary, so that an idle primary is no lag."""

REPLAYED_WITHIN_S = 2.0
"""It is asked for within `LOOK_EVERY_S`, and flushed within three times `wal_writer_delay` (PostgreSQL documentation,
28.4), which is 0.6 s."""

LEFT_ALONE_S = 5.0
"""For so long after a failure reads go to the primary: no request waits for a replica that may still fail."""

# `received_tli` needs pg_read_all_stats; the control file has a new timeline minutes later.
_STATE = f"""
    SELECT pg_is_in_recovery() AS follows, to_regproc('{HOLDER}') IS NOT NULL AS distributed,
           system_identifier AS cluster,
           coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
                    greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                             (SELECT min_recovery_end_timeline FROM pg_control_recovery()))) AS timeline
    FROM pg_control_system()
"""  # noqa: S608  # a name of ours
# A transaction with an id writes a commit record, with its time, even if it changed nothing; it is not flushed.
_PRIMARY = text("""
    SELECT system_identifier AS cluster, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline,
           CASE WHEN :commit THEN pg_current_xact_id() END
    FROM pg_control_system()
""")


@frozen
class State:
    """The state of a server."""

    follows: bool  # it is in recovery
    cluster: int  # PostgreSQL's system identifier: a primary and its standbys have the same
    timeline: int  # of the WAL that it receives; each promotion begins a new one
    behind_s: float | None
    distributed: bool = False  # it follows a Citus coordinator, so users are on the workers


def judged(state: State, primary: tuple[int, int] | None) -> Failure | None:
    """Return why not to read a server, by the primary's system identifier and timeline (None: unknown)."""
    if not state.follows:
        return Failure(REPLICA, Cause.NOT_A_STANDBY)
    if state.distributed:
        return Failure(REPLICA, Cause.CONFIGURATION, "of a Citus coordinator, which has no users")
    if primary is None:
        return NOT_ASKED
    cluster, timeline = primary
    if state.cluster != cluster:
        return Failure(REPLICA, Cause.OTHER_CLUSTER)
    # A former primary that still runs and commits always looks recent.
    if state.timeline != timeline:
        return Failure(REPLICA, Cause.OTHER_TIMELINE)
    return None if is_close(state.behind_s) else Failure(REPLICA, Cause.TOO_FAR_BEHIND)


@define(eq=False)
class _Replica:
    """One address."""

    name: str
    engine: AsyncEngine
    reader: PostgresUserReader
    failure: Failure | None = NOT_ASKED  # why it is not in use
    failed_at: float = float("-inf")


@define(eq=False)
class PostgresReplicas:
    """`ReplicaReader` on PostgreSQL: reads from the addresses of the target in turn.

    Each is checked every second: a standby of the primary's cluster that follows closely and can be read is in use. The
    primary may be among the addresses, and a standby that is promoted goes out of use. A task
    of its own asks the primary: while that is silent, replicas are judged by its last answer.
    """

    target: Target
    primary: AsyncEngine
    # Called with an address that goes out of use, and why, or is in use again (None).
    on_change: Callable[[str, Failure | None], None] = lambda _name, _failure: None
    clock: Callable[[], float] = time.monotonic
    limit_s: float = READ_LIMIT_S
    _replicas: Sequence[_Replica] = field(init=False)
    _at_primary: tuple[int, int] | None = field(default=None, init=False)
    """The primary's system identifier and timeline."""
    _commit_wanted: bool = field(default=True, init=False)  # an idle primary may have been so for hours
    _turn: int = field(default=0, init=False)
    _looking: "Sequence[asyncio.Task[None]]" = field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self._replicas = [
            _Replica(name, engine, PostgresUserReader(engine, self.limit_s, READ_AT_REPLICA, self._connected))
            for name, engine in _engines(self.target)
        ]

    @property
    def failures(self) -> Mapping[str, Failure | None]:
        return {replica.name: replica.failure for replica in self._replicas}

    async def start(self) -> None:
        looks: list[Callable[[], Awaitable[None]]] = [self._ask_primary]
        looks += [partial(self._look_at, replica) for replica in self._replicas]
        self._looking = [asyncio.create_task(_every_second(look), name="replica-watch") for look in looks]

    async def aclose(self) -> None:
        for task in self._looking:
            task.cancel()
        if self._looking:
            await asyncio.wait(self._looking)
        for replica in self._replicas:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limit_s):
                    await replica.engine.dispose()

    async def signed_in(self, user_id: UserId, session_id: SessionId | None) -> SignedIn:
        with self._next() as replica:
            return await replica.reader.signed_in(user_id, session_id)

    async def get_many(self, user_ids: Collection[UserId]) -> tuple[Mapping[UserId, User | Tombstone], float | None]:
        with self._next() as replica, raised_as_unavailable():
            async with self._connected(replica.engine) as driver:
                users, _, behind_s = await read_with_sessions(driver, user_ids, (), READ_AT_REPLICA)
        return users, behind_s

    async def by_email(self, email: str, *, limit: int) -> tuple[Sequence[User], float | None]:
        if not storable(email):
            return [], None
        with self._next() as replica, raised_as_unavailable():
            async with self._connected(replica.engine) as driver:
                rows = await BY_EMAIL_AT_REPLICA.fetch(driver, {"email": email, "limit": limit})
        return living([user_from(row) for row in rows]), rows[0]["behind_s"] if rows else None

    async def look(self) -> None:
        """Ask the primary and each address once; `start` does it every second."""
        await self._ask_primary()
        await asyncio.gather(*map(self._look_at, self._replicas))

    @contextmanager
    def _next(self) -> Iterator[_Replica]:
        """Give the next replica in use; if it fails, it goes out of use."""
        in_use = [replica for replica in self._replicas if replica.failure is None]
        if not in_use:
            raise StoreUnavailableError
        self._turn += 1
        replica = in_use[self._turn % len(in_use)]
        try:
            yield replica
        except StoreUnavailableError as error:
            self._note(replica, _of_replica(error))
            raise

    async def _look_at(self, replica: _Replica) -> None:
        try:
            state = await self._state_of(replica)
            for _ in range(8):
                if not state.follows or (state.behind_s is not None and state.behind_s <= COMMIT_AFTER_S):
                    break
                self._commit_wanted = True
                await asyncio.sleep(REPLAYED_WITHIN_S / 8)
                state = await self._state_of(replica)
        except StoreUnavailableError as error:
            self._note(replica, _of_replica(error))
        else:
            self._note(replica, judged(state, self._at_primary))

    async def _state_of(self, replica: _Replica) -> State:
        """Read the state, and no user: that needs the same rights and schema."""
        with raised_as_unavailable():
            async with self._connected(replica.engine) as driver:
                [row] = await driver.fetch(_STATE)
                behind_s = None
                if not row["distributed"]:
                    _, _, behind_s = await read_with_sessions(driver, (), (), READ_AT_REPLICA)
        return State(behind_s=behind_s, **row)

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[Driver]:
        """Give a connection; terminate it after the time limit, because to cancel would wait for the server."""
        async with asyncio.timeout(2 * self.limit_s), directly(engine) as driver:
            try:
                async with asyncio.timeout(self.limit_s):
                    yield driver
            except TimeoutError:
                driver.terminate()
                raise

    async def _ask_primary(self) -> None:
        """Note which server is the primary now; without an answer the last one counts."""
        commit, self._commit_wanted = self._commit_wanted, False
        with suppress(StoreUnavailableError):  # requests and /health report it
            async with connected(self.primary) as connection:
                row = (await connection.execute(_PRIMARY, {"commit": commit})).one()
                self._at_primary = (row.cluster, int(row.timeline, 16))

    def _note(self, replica: _Replica, failure: Failure | None) -> None:
        now, before = self.clock(), replica.failure
        if failure is None and now - replica.failed_at < LEFT_ALONE_S:
            return
        if failure not in (None, NOT_ASKED):
            replica.failed_at = now
        replica.failure = failure
        was_used = before is None or before is NOT_ASKED  # so that the first success is not reported
        if was_used != (failure is None or failure is NOT_ASKED):
            self.on_change(replica.name, failure)


async def examine_replicas(target: Target, primary: AsyncEngine) -> Mapping[str, Failure | None]:
    """Check once, for `doctor`, and return the failures by address."""
    replicas = PostgresReplicas(target, primary)
    try:
        await replicas.look()
        return replicas.failures
    finally:
        await replicas.aclose()


def _engines(target: Target) -> Iterator[tuple[str, AsyncEngine]]:
    for host, port in target.addresses:
        # Whether it is a standby is checked every second, not only at a new connection.
        alone = evolve(target, addresses=((host, port),), wanted="any")
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}", create_engine(alone, settings=BY_KEY)


async def _every_second(look: Callable[[], Awaitable[None]]) -> None:
    while True:
        await look()
        await asyncio.sleep(LOOK_EVERY_S)


def _of_replica(error: StoreUnavailableError) -> Failure:
    return evolve(error.failure, subject=REPLICA)
