"""The tasks of a Kafka client, cancelled together: aiokafka's `stop` waits for brokers that may be unreachable."""

import asyncio
import socket
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from aiokafka.errors import KafkaError

CLOSE_S = 1.0  # how long a client may take to close: a broker that does not read would block it forever


class ClientTasks:
    """All tasks that are created while they are `owned`, and tasks that those create."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own each task created in this block, or later by such a task, which inherits its context."""
        asyncio.get_running_loop().set_task_factory(_remembered)  # type: ignore[arg-type]  # its options differ by version
        token = _owner.set(self)
        try:
            yield
        finally:
            _owner.reset(token)

    def add(self, task: asyncio.Task[Any]) -> None:
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(take_error)

    async def cancel(self) -> None:
        """Cancel all of them, within `CLOSE_S`."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=CLOSE_S)

    async def close(self, stop: Coroutine[Any, Any, None]) -> None:
        """Run a client's `stop` for up to `CLOSE_S`, then cancel its remaining tasks."""
        with self.owned():
            stopping = asyncio.create_task(stop)
        await asyncio.wait({stopping}, timeout=CLOSE_S)
        await self.cancel()


def take_error(future: "asyncio.Future[Any]") -> None:
    """Retrieve a future's exception, if any: asyncio logs one that was never retrieved."""
    if not future.cancelled():
        future.exception()


def is_leftover(context: Mapping[str, Any]) -> bool:
    """Whether a loop's exception handler was called for a client that was discarded; its caller has had the error.

    aiokafka has internal futures, and uvloop continues a look-up whose connection was cancelled; their errors come when
    no caller waits for them. A connection that is lost while it opens closes itself.
    """
    return isinstance(context.get("exception"), KafkaError | socket.gaierror) or "conn" in context


_owner: ContextVar[ClientTasks | None] = ContextVar("kafka_client_tasks", default=None)


def _remembered(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Create a task as a loop does by default, and add it to its owner."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    if owner := _owner.get():
        owner.add(task)
    return task
