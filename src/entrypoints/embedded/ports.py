"""Ports on loopback: one that is free, or whether a wanted one is."""

import secrets
import socket

from entrypoints.embedded.errors import EmbeddedStackError

LOOPBACK = "127.0.0.1"
# Below the ports that Linux (32768+) and macOS (49152+) give to outgoing connections: a client that keeps
# dialling a dead server's port there can be given that very port and connect to itself, and the server
# could not come back on it.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port on loopback that nothing uses now and that no outgoing connection will be given."""
    for _ in range(100):
        port = secrets.choice(_PORTS)
        if _is_free(port):
            return port
    raise EmbeddedStackError("No free port was found on 127.0.0.1.", "Stop some servers and start again.")


def require_free(port: int, name: str) -> None:
    """Raise EmbeddedStackError when the port is taken."""
    if not _is_free(port):
        raise EmbeddedStackError(
            f"{name} cannot listen on {LOOPBACK}:{port}: the port is taken.",
            "Stop the program that uses it, or choose another port.",
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: connections that linger after a close (TIME_WAIT) do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
