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


class UnusableParameterError(OSError):
    """A parameter of `DATABASE_URL` turned out to be of no use; the message says which."""


class Connection(asyncpg.Connection):
    """A connection that knows its socket: asyncpg gives its transport to the constructor alone."""

    __slots__ = ("peer", "sees_what_lasts")
    peer: "socket.socket | None"
    sees_what_lasts: bool
    """A synchronous standby, where there is one, has all that was committed before this connection."""

    def __init__(self, protocol: Any, transport: asyncio.BaseTransport, *others: Any) -> None:
        super().__init__(protocol, transport, *others)
        self.peer = transport.get_extra_info("socket")
        self.sees_what_lasts = False

    async def require_replicated(self) -> None:
        """Return when the connection `sees_what_lasts`.

        When a primary crashes and comes back, commits that waited for their standby are visible, although no standby
        has them: to answer that such a change is known, or to publish its event, would be wrong after a failover. WAL
        is sent in order, so one commit that the standby has vouches for all before it; later ones show only when it
        has them.
        """
        if self.sees_what_lasts:
            return
        try:
            await self.execute("SELECT pg_logical_emit_message(true, 'auth-service', '')")
        except asyncpg.PostgresError:
            if self.is_closed():
                raise
            return  # a service that looks like PostgreSQL, or a server that takes no writes: what follows says so
        self.sees_what_lasts = True

    def keep_alive(self, keepalives: Mapping[str, int]) -> None:
        """Notice a peer that is gone without a word, as libpq does."""
        if self.peer is None or self.peer.family == socket.AF_UNIX:
            return
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keepalives.get("keepalives", 1))
        for name, option in _SOCKET_OPTIONS.items():
            if keepalives.get(name) and hasattr(socket, option):
                self.peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), keepalives[name])


class Abandoning(Connection):
    """A connection whose unanswered statement is abandoned, never cancelled.

    A COMMIT that waits for a synchronous standby is not undone by a cancel request: it only becomes visible before any
    standby has it (PostgreSQL's `SyncRepWaitForLSN`). Repeated, the change would then be acknowledged as known and the
    event published, and both be lost with the primary.
    """

    __slots__ = ("abandon",)
    abandon: Callable[[int], None]  # takes the process id of the session; set once the connection is made

    def _cancel_current_command(self, *_: Any) -> None:
        if hasattr(self, "abandon"):
            self.abandon(self.get_server_pid())
        asyncio.get_running_loop().call_soon(self.terminate)


class BehindPooler(Abandoning):
    """Through a transaction-mode pooler: each transaction may meet another session, so nothing is left in one."""

    __slots__ = ()


def is_behind_pooler(connection: Driver) -> bool:
    """Tell; `isinstance` cannot, because asyncpg lets every connection pass for an instance of any of its classes."""
    return type(connection) is BehindPooler


def refuses_settings(error: asyncpg.PostgresError) -> bool:
    """Tell whether this is PgBouncer's answer to settings that it cannot keep for each client."""
    return "startup parameter" in str(error)
