"""The relay process as a FastStream application: its broker, and a relay that runs from start to shutdown."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from faststream import FastStream
from faststream.kafka import KafkaBroker

from application.relay.loop import Relay


async def run_app(broker: KafkaBroker, relay: Relay, lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> None:
    """Run the relay until SIGTERM, SIGINT, or its own end; then close the broker and what `lifespan` opened."""
    app = FastStream(broker, logger=None, lifespan=lifespan)
    running: asyncio.Task[None] | None = None

    @app.after_startup
    async def begin() -> None:  # FastStream would run it in a thread if it were not
        nonlocal running
        running = asyncio.create_task(relay.run(), name="relay")
        running.add_done_callback(lambda _: app.exit())

    @app.on_shutdown
    async def finish() -> None:
        relay.stop()
        if running:
            await running

    await app.run()
