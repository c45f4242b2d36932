"""One PostgreSQL and one Kafka for a whole run, whatever the number of its processes.

The process that hands the tests out starts each server when the first test needs it, and stops it when the run ends.
"""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, Protocol

import pytest
from attrs import frozen

from support import servers


@contextmanager
def _kafka() -> Iterator[servers.Server]:
    """Run Kafka, the first of many brokers on this machine."""
    with servers.kafka(place=servers.memory()) as running:
        if servers.kind() == "embedded":
            from devkit.servers.kafka import keep_classes  # noqa: PLC0415

            keep_classes()
        yield running


class Shared(Protocol):
    @property
    def address(self) -> str: ...


@frozen
class _Folder:
    address: str


@contextmanager
def _new_data() -> Iterator[_Folder]:
    """Have PostgreSQL set up its data, of which those that a test starts get copies."""
    from devkit.servers.postgres import start_postgres  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="test-postgres-", dir=servers.memory() or None) as folder:
        data = Path(folder) / "data"
        start_postgres(data).stop()
        (data / "server.log").unlink()
        yield _Folder(str(data))


_STARTS: dict[str, Callable[[], AbstractContextManager[Shared]]] = {
    # Databases and topics come and go with each test, and each would wait for the disk, where a copy of 300 files took
    # ten times the CPU of one in memory; no test crashes this machine, or these servers. Tables are small: an ANALYZE
    # beside a test that counts what is written would change the count, as images of pages would.
    "postgres": partial(servers.postgres, in_memory=True, fsync="off", full_page_writes="off", autovacuum_naptime="1d"),
    "kafka": _kafka,
    "new data": _new_data,
}

NAME = "shared-servers"
"""Of the plugin."""


class SharedServers:
    """The plugin of the process that hands the tests out, or runs them all."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._addresses: dict[str, str] = {}
        self._turns = {name: threading.Lock() for name in _STARTS}
        self._listener: Listener | None = None

    def address(self, name: str) -> str:
        """Return where this server is, which runs from now on."""
        with self._turns[name]:
            if name not in self._addresses:
                self._addresses[name] = self._running.enter_context(_STARTS[name]()).address
            return self._addresses[name]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a process of pytest-xdist where to ask."""
        if self._listener is None:
            self._listener = Listener(family="AF_UNIX")
            threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()
        node.workerinput["servers"] = self._listener.address

    def pytest_unconfigure(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._running.close()

    def _listen(self, listener: Listener) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                threading.Thread(target=self._answer, args=(listener.accept(),), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            try:
                connection.send(self.address(connection.recv()))
            except Exception as error:  # noqa: BLE001  # the test that asked tells it
                connection.send(error)


def address(config: pytest.Config, name: str) -> str:
    """Return where the run's `postgres` or `kafka` is; it starts when it is first asked for."""
    place = getattr(config, "workerinput", {}).get("servers")
    if place is None:
        return _plugin(config).address(name)
    with Client(place) as connection:
        connection.send(name)
        answer = connection.recv()
    if isinstance(answer, Exception):
        raise answer
    return str(answer)


def _plugin(config: pytest.Config) -> SharedServers:
    plugin: SharedServers | None = config.pluginmanager.get_plugin(NAME)
    if plugin is None:  # the SDK's tests alone
        plugin = SharedServers()
        config.pluginmanager.register(plugin, NAME)
    return plugin
