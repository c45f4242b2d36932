"""Ports on loopback: one that is free, or a wanted one."""

import secrets
import socket
import sys

from devkit.servers.errors import EmbeddedStackError

LOOPBACK = "127.0.0.1"
# Below the ports that Linux (32768+) and macOS (49152+) give to outgoing connections: a client that keeps
# dialling a dead server's port there can be given that very port and connect to itself, and the server
# could not come back on it.
_PORTS = range(20_000, 32_000)

_claims: set[int] = set()


def free_port() -> int:
    """A port on loopback for one of our servers, for as long as this process lives.

    Nothing uses it now. On Linux no other call anywhere returns it and no outgoing connection is given it, also while
    its server is still starting or down for a moment. The server must set SO_REUSEADDR, as those here all do.
    """
    for _ in range(100):
        port = secrets.choice(_PORTS)
        if _held(port):
            return port
    raise EmbeddedStackError("No free port was found on 127.0.0.1.", "Stop some servers and start again.")


def require_free(port: int, name: str, otherwise: str = "start again") -> None:
    """Claim a port for one of our servers, for as long as this process lives.

    Args:
        port: which.
        name: whose it is to be.
        otherwise: what else helps than to stop its owner.

    Raises:
        EmbeddedStackError: it is taken, or on Linux another process has claimed it for a server that starts later.
    """
    if not (_is_free(port) and _claimed(port)):
        raise EmbeddedStackError(
            f"{name} cannot listen on {LOOPBACK}:{port}: the port is taken.",
            f"Stop the program that uses it, or {otherwise}.",
        )


def _held(port: int) -> bool:
    with socket.socket() as holder:
        try:
            holder.bind((LOOPBACK, port))
        except OSError:
            return False
        if sys.platform == "linux":
            # Bound without it, so that two cannot hold one port; set now, so that a server can listen beside us. BSD
            # does not let it, and does not need it: its outgoing connections stay out of our range.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.detach()  # stays open to the end of the process
    return True


def _claimed(port: int) -> bool:
    """Tell whether the port is this process's among all that ask here.

    A TCP socket cannot hold it: it would keep out the server as well, or nobody. Linux names sockets per network, as it
    numbers ports, and forgets them with their process.
    """
    if port in _claims or sys.platform != "linux":
        return True
    with socket.socket(socket.AF_UNIX) as claim:
        try:
            claim.bind(f"\0auth-service-port-{port}")
        except OSError:
            return False
        claim.detach()  # stays open to the end of the process
    _claims.add(port)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: connections that linger after a close (TIME_WAIT) do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
