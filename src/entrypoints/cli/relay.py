"""`auth-service relay`: the process that sends stored events to Kafka."""

import os
import secrets
import socket
import sys
from typing import Annotated

import uvloop

from application.errors import ApplicationError
from entrypoints.cli.exit_codes import EX_NOT_DONE
from entrypoints.cli.options import between
from entrypoints.cli.terminal import fail
from entrypoints.config.loading import load
from entrypoints.config.settings import RelaySettings
from entrypoints.observability.logging import configure_logging
from entrypoints.observability.tracing import tracing_of
from entrypoints.relay.status_server import start_status_server
from entrypoints.relay.telemetry import RelayTelemetry


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
            fail(
                f"Cannot listen on port {metrics_port} of 0.0.0.0: {error.strerror}. "
                "Choose another port with --metrics-port.",
                EX_NOT_DONE,
            )
    tracing = tracing_of(settings.tracing, process="auth-service-relay")
    from entrypoints.relay.app import log_bug, run_relay  # noqa: PLC0415  # FastStream's import comes after tracing

    try:
        uvloop.run(run_relay(settings, tracing, name, telemetry))
    except ApplicationError:
        raise
    except Exception as error:  # noqa: BLE001  # a bug; a traceback would quote the error's text, and that a row
        log_bug("relay_failed", error)
        sys.exit(EX_NOT_DONE)
    finally:
        tracing.end()
