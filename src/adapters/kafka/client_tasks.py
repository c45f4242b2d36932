"""The tasks of a Kafka client, to be ended together: aiokafka's own `stop` waits for brokers that may be gone."""

import asyncio
import socket
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from aiokafka.errors import KafkaError

CLOSE_S = 1.0  # how long a client may take to close: a broker that does not read would hold it up for ever


class ClientTasks:
    """Whatever is started while they are `owned`, and whatever that starts."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own each task that is created in this block, or later by one that was: a task inherits its context."""
        asyncio.get_running_loop().set_task_factory(_remembered)  # type: ignore[arg-type]  # its options differ by version
        token = _owner.set(self)
        try:
            yield
        finally:
            _owner.reset(token)

    def add(self, task: asyncio.Task[Any]) -> None:
        self._running.add(task)
        task.add_done_callback(self._ended)

    async def cancel(self) -> None:
        """End all of them, in `CLOSE_S`."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=CLOSE_S)

    async def close(self, stop: Coroutine[Any, Any, None]) -> None:
        """Run a client's own `stop` for as long as `CLOSE_S`, and end what is left of the client then."""
        with self.owned():
            stopping = asyncio.create_task(stop)
        await asyncio.wait({stopping}, timeout=CLOSE_S)
        await self.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        take_error(task)


def take_error(future: "asyncio.Future[Any]") -> None:
    """Take the error out of a future, if it has one: asyncio complains about each that nobody took."""
    if not future.cancelled():
        future.exception()


def is_leftover(context: Mapping[str, Any]) -> bool:
    """Whether what a loop complains of is left of a client that was given up: whoever used the client knows why.

    aiokafka keeps futures that nobody outside can reach, and uvloop goes on with a look-up whose connection is given
    up; their errors come when nobody waits for them any more. A connection that is lost on its way closes itself.
    """
    return isinstance(context.get("exception"), KafkaError | socket.gaierror) or "conn" in context


_owner: ContextVar[ClientTasks | None] = ContextVar("kafka_client_tasks", default=None)


def _remembered(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task as a loop does by default, and tell its owner."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    if owner := _owner.get():
        owner.add(task)
    return task
