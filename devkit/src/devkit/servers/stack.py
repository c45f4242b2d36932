"""PostgreSQL and Kafka together, for as long as a `with` block lasts."""

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType

import attrs

from devkit.servers.kafka import EmbeddedKafka, start_kafka
from devkit.servers.kafka_jars import kafka_jars
from devkit.servers.postgres import EmbeddedPostgres, start_postgres


@attrs.frozen(kw_only=True)
class EmbeddedStack:
    """Both servers, running."""

    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka


def embedded_stack(  # noqa: PLR0913 - all but the first by name
    data_dir: Path,
    *,
    fresh: bool,
    progress: Callable[[str], None],
    postgres_port: int | None = None,
    kafka_port: int | None = None,
    full_jit: bool = False,
) -> "_RunningStack":
    """Start both servers for a `with` or `async with` block, which yields an `EmbeddedStack`.

    They stop with the block, whatever ends it; SIGTERM ends it like an exception when nobody else handles that
    signal. They also stop when this process dies without leaving the block, be it by SIGKILL (see `guard`).

    Args:
        data_dir: Data of both, in `postgres/` and `kafka/`; it survives.
        fresh: Remove data of an earlier run.
        progress: Called with a line of text now and then, from other threads too, one call at a time.
        postgres_port: A free one when None.
        kafka_port: A free one when None.
        full_jit: Let Kafka's Java optimise fully: for benchmarks.

    Raises:
        EmbeddedStackError: On entering, when one of them cannot run; none is left running then.
    """
    return _RunningStack(
        start_postgres=lambda: start_postgres(data_dir / "postgres", port=postgres_port, fresh=fresh),
        start_kafka=lambda: start_kafka(data_dir / "kafka", port=kafka_port, fresh=fresh, full_jit=full_jit),
        progress=progress,
    )


class _GivenUpError(Exception):
    """The task that waited for the start was cancelled."""


@attrs.define(kw_only=True)
class _RunningStack:
    _start_postgres: Callable[[], EmbeddedPostgres]
    _start_kafka: Callable[[], EmbeddedKafka]
    _progress: Callable[[str], None]
    _stack: EmbeddedStack | None = None
    _given_up: threading.Event = attrs.field(factory=threading.Event)
    _reporting: threading.Lock = attrs.field(factory=threading.Lock)
    _sigterm_is_ours: bool = False

    def __enter__(self) -> EmbeddedStack:
        self._take_sigterm()
        try:
            return self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop()
        finally:
            self._give_sigterm_back()

    async def __aenter__(self) -> EmbeddedStack:
        self._take_sigterm()
        starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            return await asyncio.shield(starting)
        except BaseException:
            # The thread goes on when its waiter is cancelled; what it started must not stay.
            self._given_up.set()
            await asyncio.wait([starting])
            await self.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await asyncio.shield(asyncio.to_thread(self._stop))
        finally:
            self._give_sigterm_back()

    def _report(self, line: str) -> None:
        if self._given_up.is_set():
            raise _GivenUpError
        with self._reporting:
            self._progress(line)

    def _start(self) -> EmbeddedStack:
        kafka_jars(self._report)
        self._report("Starting PostgreSQL and Kafka")
        with ThreadPoolExecutor(2) as pool:
            postgres, kafka = pool.submit(self._start_postgres), pool.submit(self._start_kafka)
            try:
                self._stack = EmbeddedStack(postgres=postgres.result(), kafka=kafka.result())
            except BaseException:  # one failed, or Ctrl-C while waiting
                _stop_started(kafka)
                _stop_started(postgres)
                raise
        self._report(f"PostgreSQL listens on 127.0.0.1:{self._stack.postgres.port}")
        self._report(f"Kafka listens on {self._stack.kafka.bootstrap_servers}")
        return self._stack

    def _stop(self) -> None:
        if self._stack is not None:
            self._stack.kafka.stop()
            self._stack.postgres.stop()
            self._stack = None

    def _take_sigterm(self) -> None:
        # Only the main thread may, and only where the signal would end the process without a word.
        if threading.current_thread() is threading.main_thread():
            self._sigterm_is_ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            if self._sigterm_is_ours:
                signal.signal(signal.SIGTERM, _exit_on_sigterm)

    def _give_sigterm_back(self) -> None:
        if self._sigterm_is_ours and signal.getsignal(signal.SIGTERM) is _exit_on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._sigterm_is_ours = False


def _exit_on_sigterm(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def _stop_started(server: "Future[EmbeddedPostgres] | Future[EmbeddedKafka]") -> None:
    if server.exception() is None:  # waits for it
        server.result().stop()
