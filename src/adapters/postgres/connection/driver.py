"""asyncpg's connections as this service needs them; the only module that overrides a private method of asyncpg."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import asyncpg

STATEMENT_TIMEOUT_S = 5.0  # how long one statement may take before its caller gets StoreUnavailableError

Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_SOCKET_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


_WAIT_FOR_STANDBY = "SELECT pg_logical_emit_message(true, 'auth-service', '')"


class UnusableParameterError(OSError):
    """A parameter of `DATABASE_URL` cannot be used; the message names it."""


class Connection(asyncpg.Connection):
    """A connection with its socket: asyncpg passes its transport only to the constructor."""

    __slots__ = ("peer", "sees_what_lasts")
    peer: "socket.socket | None"
    sees_what_lasts: bool
    """A synchronous standby, if there is one, has everything committed before this connection."""

    def __init__(self, protocol: Any, transport: asyncio.BaseTransport, *others: Any) -> None:
        super().__init__(protocol, transport, *others)
        self.peer = transport.get_extra_info("socket")
        self.sees_what_lasts = False

    async def require_replicated(self) -> None:
        """Return when the connection `sees_what_lasts`.

        When a primary crashes and restarts, commits that waited for their standby are visible, although no standby has
        them: to acknowledge such a change, or to publish its event, would be wrong after a failover. WAL is sent in
        order, so one commit that the standby has proves all before it; later ones are visible only when it has them.
        """
        if self.sees_what_lasts:
            return
        try:
            await self.execute(_WAIT_FOR_STANDBY)
        except asyncpg.PostgresError:
            if self.is_closed():
                raise
            return  # a service compatible with PostgreSQL, or a read-only server, where the next statement fails
        self.sees_what_lasts = True

    def keep_alive(self, keepalives: Mapping[str, int]) -> None:
        """Detect a peer that is gone, as libpq does."""
        if self.peer is None or self.peer.family == socket.AF_UNIX:
            return
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keepalives.get("keepalives", 1))
        for name, option in _SOCKET_OPTIONS.items():
            if keepalives.get(name) and hasattr(socket, option):
                self.peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), keepalives[name])


class Abandoning(Connection):
    """A connection whose unanswered statement is abandoned, never cancelled.

    A cancel request does not undo a COMMIT that waits for a synchronous standby: it only becomes visible before any
    standby has it (PostgreSQL's `SyncRepWaitForLSN`). On a retry the change would be acknowledged and the event
    published, and both be lost with the primary.
    """

    __slots__ = ("abandon",)
    abandon: Callable[[int], None]  # takes the process id of the session; set once the connection is made

    def _cancel_current_command(self, *_: Any) -> None:
        if hasattr(self, "abandon"):
            self.abandon(self.get_server_pid())
        asyncio.get_running_loop().call_soon(self.terminate)


class BehindPooler(Abandoning):
    """Through a transaction-mode pooler: each transaction may run in another session, so no session has state."""

    __slots__ = ()

    async def require_replicated(self) -> None:
        """Have the COMMIT of this transaction wait: the pooler hides whether the server was restarted."""
        await self.execute(_WAIT_FOR_STANDBY)


def is_behind_pooler(connection: Driver) -> bool:
    """Not by `isinstance`: asyncpg makes every connection an instance of any of its classes."""
    return type(connection) is BehindPooler


def refuses_settings(error: asyncpg.PostgresError) -> bool:
    """Whether this is PgBouncer's refusal of settings that it does not track for each client."""
    return "startup parameter" in str(error)
