"""A real PgBouncer in transaction mode (Debian's package) in front of a test's database."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devkit.servers.ports import free_port

UNPRIVILEGED = "nobody"

IGNORING = {
    "ignore_startup_parameters": "jit,statement_timeout,idle_in_transaction_session_timeout,enable_seqscan,"
    "enable_bitmapscan,enable_sort,enable_hashjoin,enable_mergejoin,search_path,options"
}
"""Settings that drop ours without a word, as hosted poolers do, where PgBouncer by itself refuses the connection."""


@contextmanager
def pgbouncer(database_url: str, *, server_connections: int = 3, **settings: str) -> Iterator[str]:
    """Run it with so few server connections that clients keep changing them; return the URL through it.

    The URL does not say that it is one. `settings` are PgBouncer's own, and win over those here.
    """
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.fail("pgbouncer is not installed, and these tests need the real one: apt-get install pgbouncer")
    to = urlsplit(database_url)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="test-pgbouncer-") as made:
        folder = Path(made)
        (folder / "users.txt").write_text(f'"{to.username}" "{to.password}"\n')
        (folder / "pgbouncer.ini").write_text(
            "\n".join(
                (
                    "[databases]",
                    f"* = host={'127.0.0.1' if to.hostname == 'localhost' else to.hostname} port={to.port}",
                    "[pgbouncer]",
                    "listen_addr = 127.0.0.1",
                    f"listen_port = {port}",
                    "unix_socket_dir =",
                    "auth_type = scram-sha-256",
                    f"auth_file = {folder / 'users.txt'}",
                    "pool_mode = transaction",
                    f"default_pool_size = {server_connections}",
                    "max_client_conn = 200",
                    # The next transaction of a client is on another server connection whenever there is one.
                    "server_round_robin = 1",
                    "server_lifetime = 2",
                    f"logfile = {folder / 'log'}",
                    *(f"{name} = {value}" for name, value in settings.items()),
                    "",
                )
            )
        )
        as_root = os.geteuid() == 0
        if as_root:  # it refuses to run as root
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, UNPRIVILEGED)
        process = subprocess.Popen(
            [program, "--quiet", str(folder / "pgbouncer.ini")],
            user=UNPRIVILEGED if as_root else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_listens(process, port, folder / "log")
            yield f"postgresql://{to.username}:{to.password}@127.0.0.1:{port}{to.path}"
        finally:
            process.kill()
            process.wait(30)


def _wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text() if log.exists() else "nothing"
            pytest.fail(f"pgbouncer does not listen; it said: {said}")
        time.sleep(0.02)
