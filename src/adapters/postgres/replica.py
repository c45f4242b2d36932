"""Replicas: standbys of the primary, each read only while it is known to follow closely."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from attrs import define, evolve, field, frozen
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.asyncpg_execution import directly
from adapters.postgres.citus import WRITER
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
"""For one reading, which takes a millisecond or two; the primary is asked after it, with a time limit of its own."""

LOOK_EVERY_S = 1.0

COMMIT_AFTER_S = 1.0
"""When nothing was replayed for so long, a commit is made at the primary, so that being idle does not look like lag."""

REPLAYED_WITHIN_S = 1.0
"""That commit is flushed within three times `wal_writer_delay` (PostgreSQL documentation, 28.4), which is 0.6 s."""

LEFT_ALONE_S = 5.0
"""After a failure the primary is asked at once for so long: no request waits to find out whether it still fails."""

# `received_tli` is hidden from a role without pg_read_all_stats; the control file has a new timeline minutes later.
_STATE = f"""
    SELECT pg_is_in_recovery() AS follows, to_regproc('{WRITER}') IS NOT NULL AS distributed,
           system_identifier AS cluster,
           coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
                    greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                             (SELECT min_recovery_end_timeline FROM pg_control_recovery()))) AS timeline
    FROM pg_control_system()
"""  # noqa: S608  # a name of ours
_PRIMARY = text("""
    SELECT system_identifier AS cluster, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline
    FROM pg_control_system()
""")
# A transaction with an id leaves a commit record, with its time, though it wrote nothing; nobody waits for the disk.
_COMMIT = text("SELECT pg_current_xact_id()")


@frozen
class State:
    """What a server says of itself."""

    follows: bool  # it replays what another server writes
    cluster: int  # PostgreSQL's system identifier: a primary and its standbys have the same
    timeline: int  # of the WAL that it receives; each promotion begins a new one
    behind_s: float | None
    distributed: bool = False  # it follows a Citus coordinator, so users are not there but on the workers


def judged(state: State, primary: tuple[int, int] | None) -> Failure | None:
    """Return why not to read a server, by the primary's system identifier and timeline; None where unknown."""
    if not state.follows:
        return Failure(REPLICA, Cause.NOT_A_STANDBY)
    if state.distributed:
        return Failure(REPLICA, Cause.CONFIGURATION, "of a Citus coordinator, which has no users")
    if primary is None:
        return NOT_ASKED
    cluster, timeline = primary
    if state.cluster != cluster:
        return Failure(REPLICA, Cause.OTHER_CLUSTER)
    # A former primary that lives, and commits for others, looks recent for ever.
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
    """`ReplicaReader` on PostgreSQL: the addresses of the target in turn, as far as they are in use.

    Each is asked every second whether it follows the primary's cluster closely, and can be read. One that is no standby
    is left out: the primary may be among the addresses, and a standby that is promoted leaves by itself.
    """

    target: Target
    primary: AsyncEngine
    # Called with an address that goes out of use, and why, or comes into use again (None).
    on_change: Callable[[str, Failure | None], None] = lambda _name, _failure: None
    clock: Callable[[], float] = time.monotonic
    limit_s: float = READ_LIMIT_S
    _replicas: Sequence[_Replica] = field(init=False)
    _at_primary: tuple[int, int] | None = field(default=None, init=False)
    """The primary's system identifier and timeline."""
    _asked_at: float = field(default=float("-inf"), init=False)
    _asking: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _committed_at: float = field(default=float("-inf"), init=False)
    _turn: int = field(default=0, init=False)
    _looking: "Sequence[asyncio.Task[None]]" = field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self._replicas = [
            _Replica(name, engine, PostgresUserReader(engine, self.limit_s, READ_AT_REPLICA, self._connected))
            for name, engine in _engines(self.target)
        ]

    @property
    def failures(self) -> Mapping[str, Failure | None]:
        """By address: why it is not in use, or None."""
        return {replica.name: replica.failure for replica in self._replicas}

    async def start(self) -> None:
        self._looking = [
            asyncio.create_task(self._keep_looking(replica), name="replica-watch") for replica in self._replicas
        ]

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
        """Ask each address once; `start` does it every second."""
        await asyncio.gather(*map(self._look_at, self._replicas))

    @contextmanager
    def _next(self) -> Iterator[_Replica]:
        """Give the next one that is in use; it goes out of use when it fails."""
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

    async def _keep_looking(self, replica: _Replica) -> None:
        while True:
            await self._look_at(replica)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look_at(self, replica: _Replica) -> None:
        try:
            state = await self._state_of(replica)
            await self._ask_primary()
            for _ in range(4):
                if not _needs_commit(state):
                    break
                await self._commit()
                await asyncio.sleep(REPLAYED_WITHIN_S / 4)
                state = await self._state_of(replica)
        except StoreUnavailableError as error:
            self._note(replica, _of_replica(error))
        else:
            self._note(replica, judged(state, self._at_primary))

    async def _state_of(self, replica: _Replica) -> State:
        """Ask for the state, and read nobody: the rights and the schema have to be there, too."""
        with raised_as_unavailable():
            async with self._connected(replica.engine) as driver:
                [row] = await driver.fetch(_STATE)
                behind_s = None
                if not row["distributed"]:
                    _, _, behind_s = await read_with_sessions(driver, (), (), READ_AT_REPLICA)
        return State(behind_s=behind_s, **row)

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[Driver]:
        """Give a connection for a moment; one that does not answer is cut, for cancelling would wait for the server."""
        async with asyncio.timeout(2 * self.limit_s), directly(engine) as driver:
            try:
                async with asyncio.timeout(self.limit_s):
                    yield driver
            except TimeoutError:
                driver.terminate()
                raise

    async def _ask_primary(self) -> None:
        """Note which server is the primary now; without an answer it is the last one."""
        async with self._asking:
            if self.clock() - self._asked_at < LOOK_EVERY_S / 2:  # for another address
                return
            with suppress(StoreUnavailableError):  # requests notice it, and /health
                async with connected(self.primary) as connection:
                    row = (await connection.execute(_PRIMARY)).one()
                    self._at_primary = (row.cluster, int(row.timeline, 16))
            self._asked_at = self.clock()

    async def _commit(self) -> None:
        if self.clock() - self._committed_at < REPLAYED_WITHIN_S:
            return
        self._committed_at = self.clock()
        with suppress(StoreUnavailableError):
            async with connected(self.primary) as connection:
                await connection.execute(_COMMIT)

    def _note(self, replica: _Replica, failure: Failure | None) -> None:
        now, before = self.clock(), replica.failure
        if failure is not None:
            replica.failed_at = now
        elif now - replica.failed_at < LEFT_ALONE_S:
            return
        replica.failure = failure
        was_used = before is None or before is NOT_ASKED  # so that the first success is no news
        if was_used != (failure is None or failure is NOT_ASKED):
            self.on_change(replica.name, failure)


async def examine_replicas(target: Target, primary: AsyncEngine) -> Mapping[str, Failure | None]:
    """Return, by address, why it could not be read now, or None: for `doctor`."""
    replicas = PostgresReplicas(target, primary)
    try:
        await replicas.look()
        return replicas.failures
    finally:
        await replicas.aclose()


def _engines(target: Target) -> Iterator[tuple[str, AsyncEngine]]:
    for host, port in target.addresses:
        # Whether it is a standby is asked of it every second, and not only when it is connected to.
        alone = evolve(target, addresses=((host, port),), wanted="any")
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}", create_engine(alone, settings=BY_KEY)


def _needs_commit(state: State) -> bool:
    return state.follows and (state.behind_s is None or state.behind_s > COMMIT_AFTER_S)


def _of_replica(error: StoreUnavailableError) -> Failure:
    return evolve(error.failure, subject=REPLICA)
