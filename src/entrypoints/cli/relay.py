"""`auth-service relay`: the process that carries stored events to Kafka."""

import asyncio
import gc
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import uvloop

from application.errors import ApplicationError
from application.relay.lanes import SESSIONS
from application.relay.loop import LONGEST_SESSION_PAUSE_S, Carrier, Relay
from entrypoints.cli.bounds import between
from entrypoints.composition import container_of
from entrypoints.composition.lifecycle import relaying
from entrypoints.config.loading import load
from entrypoints.config.settings import RelaySettings
from entrypoints.observability.logging import configure_logging, log_loop_failures, places
from entrypoints.observability.tracing import tracing_of
from entrypoints.relay.status_server import start_status_server
from entrypoints.relay.telemetry import RelayTelemetry

if TYPE_CHECKING:
    from entrypoints.composition.relay import RelayContainer

log = structlog.get_logger("relay")


def relay(
    *,
    name: str | None = None,
    metrics_port: Annotated[int | None, between(1, 65_535)] = None,
) -> None:
    """Send stored events to Kafka, in order for each user. Run one, or several: they share the work.

    Needs DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS. The topic must exist. Stop it with SIGTERM or Ctrl-C: it finishes
    what it is sending. Killing it loses nothing.

    Args:
        name: Shown in `outbox status` and in the log; must differ between relays. Host, process id and a random part if
            left out.
        metrics_port: Serve `/metrics`, `/health` and `/health/live` on this port of 0.0.0.0.
    """
    settings = load(RelaySettings)
    settings.proxies.export()
    configure_logging(settings.log)
    name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    telemetry = RelayTelemetry(name)
    if metrics_port:
        try:
            start_status_server(metrics_port, telemetry.health)
        except OSError as error:
            sys.exit(
                f"Cannot listen on port {metrics_port} of 0.0.0.0: {error.strerror}. "
                "Choose another port with --metrics-port."
            )
    tracing = tracing_of(settings.tracing, process="auth-service-relay")
    from entrypoints.composition.relay import RelayContainer  # noqa: PLC0415  # FastStream's import comes after tracing

    try:
        uvloop.run(_run(container_of(RelayContainer, settings, traced=tracing), name, telemetry))
    except ApplicationError:
        raise
    except Exception as error:  # noqa: BLE001  # a bug; a traceback would quote the error's text, and that a row
        _log_bug("relay_failed", error)
        sys.exit(1)
    finally:
        tracing.end()


async def _run(container: "RelayContainer", name: str, telemetry: RelayTelemetry) -> None:
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
        async with relaying(container, container.wake_listener(wake)):
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

    from entrypoints.relay.app import run_app  # noqa: PLC0415  # FastStream's import comes after tracing

    await run_app(container.broker(), relay, lifespan)


def _log_end(task: "asyncio.Task[Any]") -> None:
    """Say when something that runs beside the relay has ended by a bug; the relay goes on."""
    if not task.cancelled() and (error := task.exception()):
        _log_bug("background_task_failed", error)


def _log_bug(event: str, error: BaseException) -> None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    log.error(event, error=type(error).__name__, at=places(error))
