"""How the parts of a process start and close, in reverse. Containers are `Any`: a page imports all it names."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from dependency_injector.providers import Provider


@asynccontextmanager
async def serving(container: Any) -> AsyncIterator[None]:
    """Run what the HTTP process has in the background."""
    # The reader of webhooks is made here, for its import takes longer than a delivery should wait.
    async with acting(container), _started(container.webhook_reader, container.session_keys, container.replicas):
        yield


@asynccontextmanager
async def acting(container: Any) -> AsyncIterator[None]:
    """Run what asks Clerk and writes users."""
    parts = (
        container.outbox_notifier,
        container.session_notifier,
        container.postgres_user_store,
        container.session_store,
    )
    async with connected(container), _started(*parts, container.backend):
        yield


@asynccontextmanager
async def connected(container: Any) -> AsyncIterator[None]:
    """Close the connections to the database at the end."""
    try:
        yield
    finally:
        await container.engine().dispose()


@asynccontextmanager
async def relaying(container: Any, listener: Any) -> AsyncIterator[None]:
    """Listen for notifications, and close what a relay reads and writes with; the broker is the application's."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(container.relay_engine().dispose)
        if container.kafka().kafka_user_state_topic:
            stack.push_async_callback(container.state_publisher().aclose)
        stack.push_async_callback(container.session_broker().stop)
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
