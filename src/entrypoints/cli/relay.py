"""`auth-service relay`: the process that carries stored events to Kafka."""

import asyncio
import os
import secrets
import signal
import socket

import uvloop
from prometheus_client import start_http_server

from entrypoints.configuration import load
from entrypoints.container import Container, container_for
from entrypoints.logging import configure_logging
from entrypoints.relay.backlog import watch_backlog
from entrypoints.relay.loop import Relay
from entrypoints.relay.telemetry import RelayTelemetry
from entrypoints.settings import RelaySettings


def relay(*, name: str | None = None, metrics_port: int | None = None) -> None:
    """Carry stored events to Kafka, in order for each user. Run one, or several: they share the work.

    Needs DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS. The topic must exist. Stop it with SIGTERM or Ctrl-C: it finishes
    what it is sending. Killing it loses nothing.

    Parameters
    ----------
    name
        Shown in `outbox status` and in the log; must differ between relays. Host, process id and a random part if
        left out.
    metrics_port
        Serve Prometheus metrics on this port of 0.0.0.0.
    """
    settings = load(RelaySettings)
    configure_logging(settings.log)
    if metrics_port:
        start_http_server(metrics_port)
    name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    uvloop.run(_run(container_for(settings), name, with_backlog=bool(metrics_port)))


async def _run(container: Container, name: str, *, with_backlog: bool) -> None:
    relay = Relay(name, container.relay_events(), container.lane_leases(), RelayTelemetry(name))
    listener = container.wake_listener(relay.wake)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, relay.stop)
    await listener.start()
    backlog = asyncio.create_task(watch_backlog(container.outbox_admin().status)) if with_backlog else None
    try:
        await relay.run()
    finally:
        if backlog:
            backlog.cancel()
            await asyncio.gather(backlog, return_exceptions=True)
            await container.engine().dispose()
        await listener.aclose()
        await container.publisher().aclose()
        await container.relay_engine().dispose()
