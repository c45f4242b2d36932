"""Selects the server: each host, and each address of its name, in turn, until one fits `target_session_attrs`."""

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg
from attrs import define, field

from adapters.postgres.connection import driver
from adapters.postgres.connection.target import Address, Target

HEAD_START_S = 0.3  # after which the next host is tried concurrently

SILENT_HOST_S = 1.5
"""The connection timeout of one of several hosts: meanwhile a promoted one is not tried."""

NO_PRIMARY_S = 0.1
"""How long this result is cached: a check is a login at each host, and every request would make one."""

# Errors after which the next address is tried; a refused password is final (libpq's rule). Other than in libpq, so are
# too many connections, as on a standby with many readers or a former primary with half-open connections.
_NEXT_ADDRESS = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.TooManyConnectionsError,
)
_PERHAPS_WITHOUT_TLS = (*_NEXT_ADDRESS, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.ProtocolViolationError)
_WORDS: Sequence[tuple[type[BaseException], str]] = (
    (socket.gaierror, "name not resolved"),
    (TimeoutError, "no answer in time"),
    (ConnectionRefusedError, "connection refused"),
    (asyncpg.CannotConnectNowError, "starting up or shutting down"),
    (asyncpg.ConnectionDoesNotExistError, "closed the connection"),
)
WRITABLE = ("read-write", "primary")

# The first eight digits of a WAL file's name: each promotion begins a new timeline. Not `pg_control_checkpoint()`,
# which knows it only after the first checkpoint.
_TIMELINE = """
    SELECT system_identifier::text AS system, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline
    FROM pg_control_system()
"""

_WAITING = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY($1::int[]) AND wait_event = 'SyncRep')"


class NoPrimaryError(OSError):
    """No server that answers fits `target_session_attrs`; the message has the reason for each host."""


class StandbyMissingError(OSError):
    """A session of this process still waits for a synchronous standby, so another write would wait too."""


class FormerPrimaryError(asyncpg.TargetServerAttributeNotMatched):
    """Another server was promoted since this one was the primary."""


@define
class Route:
    """The hosts of a target, and their last known state."""

    target: Target
    timeline: tuple[str, int] = field(default=("", 0), init=False)
    """The system, and its latest timeline that was seen. A server on an earlier one was the primary before another was
    promoted: what it commits is lost."""
    abandoned: set[int] = field(factory=set, init=False)
    """Process ids of sessions with an abandoned statement; each may still wait for a standby."""
    _no_primary: tuple[str, float] = field(default=("", 0.0), init=False)
    """The last message, and until when (the loop's time) it is valid."""
    _silent: Address | None = field(default=None, init=False)  # of the last abandoned session: it is tried last

    async def connect(self, **options: Any) -> driver.Driver:
        """Return the first connection that fits the target; raises as `Dialer` if none does."""
        message, until = self._no_primary
        if asyncio.get_running_loop().time() < until:
            raise NoPrimaryError(message)
        failed: list[tuple[Address, BaseException]] = []
        hosts = sorted(self._shuffled(self.target.addresses), key=lambda address: address == self._silent)
        for wanted in ("standby", "any") if self.target.wanted == "prefer-standby" else (self.target.wanted,):
            made = await _race([partial(self._host, host, wanted, failed, options) for host in hosts])
            if made:
                return made
        errors = [error for _, error in failed]
        for error in errors:
            if isinstance(error, asyncpg.TooManyConnectionsError):
                raise error  # that server may be the primary
        if any(isinstance(error, asyncpg.TargetServerAttributeNotMatched) for error in errors):
            message = ", ".join(dict.fromkeys(f"{host}:{port}: {_described(error)}" for (host, port), error in failed))
            self._no_primary = (message, asyncio.get_running_loop().time() + NO_PRIMARY_S)
            raise NoPrimaryError(message)
        # An answer is more specific than none.
        raise next((error for error in errors if not isinstance(error, OSError)), errors[0])

    def _shuffled(self, addresses: Sequence[Any]) -> list[Any]:
        return random.sample(addresses, len(addresses)) if self.target.shuffled else list(addresses)

    async def _host(
        self, host: Address, wanted: str, failed: list[tuple[Address, BaseException]], options: Mapping[str, Any]
    ) -> "driver.Driver | None":
        """Try every address of the name, as libpq does: the first may be a standby."""

        async def open_at(address: str) -> "driver.Driver | None":
            try:
                connection = await self._address(host, address, wanted, options)
                if wanted in WRITABLE and (len(addresses) > 1 or len(self.target.addresses) > 1):
                    await self._require_newest(connection)
            except _NEXT_ADDRESS as error:
                failed.append((host, error))
                return None
            return connection

        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await _addresses_of(*host)
        except OSError as error:
            failed.append((host, error))
            return None
        return await _race([partial(open_at, address) for address in self._shuffled(addresses)])

    @property
    def _timeout_s(self) -> float:
        several = len(self.target.addresses) > 1
        return self.target.connect_timeout_s or (SILENT_HOST_S if several else driver.STATEMENT_TIMEOUT_S)

    async def _address(self, host: Address, address: str, wanted: str, options: Mapping[str, Any]) -> driver.Driver:
        first, *second = (False,) if address.startswith("/") else self.target.tls.attempts()
        try:
            return await self._open(host, address, wanted, options, encrypted=first)
        except (
            TimeoutError,
            ConnectionRefusedError,
            asyncpg.TargetServerAttributeNotMatched,
            asyncpg.TooManyConnectionsError,
        ):
            raise
        except _PERHAPS_WITHOUT_TLS as error:
            # A server or a pooler may accept this user only with TLS, or only without.
            is_pooler = isinstance(error, asyncpg.ProtocolViolationError) and driver.refuses_settings(error)
            if not second or is_pooler or isinstance(error, asyncpg.InvalidPasswordError):
                raise
        return await self._open(host, address, wanted, options, encrypted=second[0])

    async def _open(
        self, host: Address, address: str, wanted: str, options: Mapping[str, Any], *, encrypted: bool
    ) -> driver.Driver:
        try:
            context = self.target.tls.context(host[0]) if encrypted else False
        except ValueError as error:
            raise driver.UnusableParameterError(str(error)) from None
        options = {
            "host": address,
            "port": host[1],
            "user": self.target.user,
            "password": self.target.password,
            "database": self.target.database,
            "ssl": context,
            "direct_tls": self.target.tls.direct,
            "target_session_attrs": wanted,
            "timeout": None,
            **options,
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                connection: driver.Connection = await asyncpg.connect(**options)
        except ConnectionError as error:
            if "SSL upgrade" in str(error):  # asyncpg has no error of its own for it
                raise ssl.SSLError("the server has no TLS") from error
            raise
        if issubclass(options["connection_class"], driver.Abandoning):
            connection.abandon = partial(self._abandoned, host)  # type: ignore[attr-defined]
        connection.keep_alive(self.target.keepalives)
        return connection

    def _abandoned(self, host: Address, process_id: int) -> None:
        self._silent = host
        self.abandoned.add(process_id)

    async def require_standby(self, connection: driver.Driver) -> None:
        """Raise StandbyMissingError if an abandoned session still waits for a standby: each blocks a connection."""
        if self.abandoned and await connection.fetchval(_WAITING, list(self.abandoned)):
            raise StandbyMissingError
        self.abandoned.clear()

    async def _require_newest(self, connection: driver.Driver) -> None:
        """Raise FormerPrimaryError for a server on an earlier timeline than one that was seen."""
        if driver.is_behind_pooler(connection):
            return
        try:
            row = await connection.fetchrow(_TIMELINE)
        except asyncpg.PostgresError:
            if connection.is_closed():
                raise
            return  # a service compatible with PostgreSQL may have no WAL files
        assert row  # noqa: S101  # a function's only row
        system, timeline = row["system"], int(row["timeline"], 16)
        if system == self.timeline[0] and timeline < self.timeline[1]:
            connection.terminate()
            raise FormerPrimaryError
        self.timeline = (system, timeline)


async def _addresses_of(host: str, port: int) -> list[str]:
    """Resolve the name; a Unix socket's folder is its own address."""
    if host.startswith("/"):
        return [host]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


async def _race(openers: Sequence[Callable[[], Awaitable["driver.Driver | None"]]]) -> "driver.Driver | None":
    """Return the first connection; each opener starts when the one before it failed, or `HEAD_START_S` after it."""
    waiting = list(openers)
    tasks: list[asyncio.Future[driver.Driver | None]] = []
    winner: driver.Driver | None = None
    try:
        while winner is None and (waiting or not all(task.done() for task in tasks)):
            if waiting:
                tasks.append(asyncio.ensure_future(waiting.pop(0)()))
            done, _ = await asyncio.wait(
                [task for task in tasks if not task.done()],
                timeout=HEAD_START_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                winner = winner or task.result()
        return winner
    finally:
        for task in tasks:
            task.cancel()
        for made in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(made, asyncpg.Connection) and made is not winner:
                made.terminate()


def _described(error: BaseException) -> str:
    if isinstance(error, FormerPrimaryError):
        return "was the primary before another was promoted"
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "takes no writes"
    return next((words for kind, words in _WORDS if isinstance(error, kind)), type(error).__name__)
