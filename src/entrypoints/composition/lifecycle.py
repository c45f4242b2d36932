"""How the parts of a process start, in the running loop, and close, in reverse order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from dependency_injector.providers import Provider

from entrypoints.config.settings import KafkaSettings


class _Acting(Protocol):
    """The parts of a page that asks Clerk and writes users."""

    @property
    def engine(self) -> Provider[Any]: ...
    @property
    def outbox_wake(self) -> Provider[Any]: ...
    @property
    def session_wake(self) -> Provider[Any]: ...
    @property
    def user_store(self) -> Provider[Any]: ...
    @property
    def session_store(self) -> Provider[Any]: ...
    @property
    def backend(self) -> Provider[Any]: ...


class _Serving(_Acting, Protocol):
    @property
    def session_keys(self) -> Provider[Any]: ...


class _Relaying(Protocol):
    @property
    def engine(self) -> Provider[Any]: ...
    @property
    def relay_engine(self) -> Provider[Any]: ...
    @property
    def kafka(self) -> Provider[KafkaSettings]: ...
    @property
    def publisher(self) -> Provider[Any]: ...
    @property
    def session_publisher(self) -> Provider[Any]: ...
    @property
    def state_publisher(self) -> Provider[Any]: ...


class _Listener(Protocol):
    async def start(self) -> None: ...
    async def aclose(self) -> None: ...


@asynccontextmanager
async def serving(container: _Serving) -> AsyncIterator[None]:
    """Run what the HTTP process has in the background."""
    async with acting(container), _started(container.session_keys):
        yield


@asynccontextmanager
async def acting(container: _Acting) -> AsyncIterator[None]:
    """Run what asks Clerk and writes users."""
    try:
        async with _started(
            container.outbox_wake,
            container.session_wake,
            container.user_store,
            container.session_store,
            container.backend,
        ):
            yield
    finally:
        await container.engine().dispose()


@asynccontextmanager
async def relaying(container: _Relaying, listener: _Listener) -> AsyncIterator[None]:
    """Listen for notifications, and close what a relay sends and reads with."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(container.relay_engine().dispose)
        if container.kafka().kafka_user_state_topic:
            stack.push_async_callback(container.state_publisher().aclose)
        stack.push_async_callback(container.publisher().aclose)
        stack.push_async_callback(container.session_publisher().aclose)
        stack.push_async_callback(listener.aclose)
        stack.push_async_callback(container.engine().dispose)
        await listener.start()
        yield


@asynccontextmanager
async def _started(*providers: Provider[Any]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for provider in providers:
            part = provider()
            if start := getattr(part, "start", None):
                await start()
            if aclose := getattr(part, "aclose", None):
                stack.push_async_callback(aclose)
        yield
