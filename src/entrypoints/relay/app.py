"""The relay process as a FastStream application: its broker, and a relay that runs from start to shutdown."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from faststream import FastStream

from application.relay.lanes import SESSIONS
from application.relay.loop import LONGEST_SESSION_PAUSE_S, Carrier, Relay
from entrypoints.composition import container_of
from entrypoints.composition.lifecycle import relaying
from entrypoints.composition.relay import RelayContainer
from entrypoints.config.settings import RelaySettings
from entrypoints.observability.logging import log_loop_failures, places
from entrypoints.observability.tracing import Tracing
from entrypoints.relay.telemetry import RelayTelemetry

log = structlog.get_logger("relay")


async def run_relay(settings: RelaySettings, tracing: Tracing, name: str, telemetry: RelayTelemetry) -> None:
    """Run the relay until SIGTERM, SIGINT, or its own end; then close the broker and all that it was made of."""
    container = container_of(RelayContainer, settings, traced=tracing)
    log_loop_failures(container.is_leftover())
    has_state = container.kafka().kafka_user_state_topic is not None
    run_round = container.relay_events_and_state(name) if has_state else container.relay_events()
    users = Carrier(run_round, telemetry.users)
    sessions = Carrier(container.relay_sessions(), telemetry.sessions, LONGEST_SESSION_PAUSE_S)
    relay = Relay(name, [users, sessions], container.lane_leases(), telemetry)

    def wake(events: str | None) -> None:
        if events != SESSIONS:
            telemetry.users.woken()
            users.wake()
        if events in (SESSIONS, None):
            telemetry.sessions.woken()
            sessions.wake()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with relaying(container, container.notification_listener(wake)):
            # As in `serve`: what is loaded by now stays, and looking at it again and again took a tenth of a busy
            # relay's time.
            gc.collect()
            gc.freeze()
            # A round makes thousands of objects, and no cycles: after each 700 there is nothing to find.
            gc.set_threshold(50_000)
            beside = [
                asyncio.create_task(telemetry.watch_backlog(container.outbox_admin().status)),
                asyncio.create_task(container.forget_sessions()()),
            ]
            for task in beside:
                task.add_done_callback(_log_end)
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

    app = FastStream(container.broker(), logger=None, lifespan=lifespan)
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


def _log_end(task: "asyncio.Task[Any]") -> None:
    """Say when something that runs beside the relay has ended by a bug; the relay goes on."""
    if not task.cancelled() and (error := task.exception()):
        log_bug("background_task_failed", error)


def log_bug(event: str, error: BaseException) -> None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    log.error(event, error=type(error).__name__, at=places(error))
