"""`auth-service serve`: the HTTP process, on granian."""

import math
import os
import socket
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import structlog
from cyclopts import Parameter
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

from entrypoints.configuration import ConfigurationError, load
from entrypoints.http.metrics_folder import metrics_folder
from entrypoints.local.environment import DATA_DIR, export_from_dev
from entrypoints.logging import configure_logging
from entrypoints.settings import HttpSettings, ServeSettings
from entrypoints.tracing import require_extra

DRAIN_S = 20
"""How long a request may run after SIGTERM and SHUTDOWN_DELAY_S; below the 30 s that orchestrators give by default."""

CONNECTIONS = 4096
"""Open connections of one worker, idle ones among them; the rest wait in the kernel's queue."""

LONGEST_HEADERS_BYTES = 64 * 1024

log = structlog.get_logger("serve")

# granian would write its lines by itself, past our format.
_LOG_CONFIG: dict[str, Any] = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "propagate": True}},
}


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    workers: Annotated[int, Parameter(env_var="WEB_CONCURRENCY")] = 1,
    log_level: str | None = None,
    data_dir: Path = DATA_DIR,
) -> None:
    """Serve webhooks, /v1/me and forward auth over HTTP.

    Needs DATABASE_URL, CLERK_WEBHOOK_SECRET and one of CLERK_PUBLISHABLE_KEY, CLERK_JWT_KEY, CLERK_JWKS_URL, from
    the environment or `.env`. Kafka is not needed here: that is `auth-service relay`.

    Parameters
    ----------
    host
        Address to listen on, instead of HOST.
    port
        Port to listen on, instead of PORT.
    workers
        Processes. More help where there are cores to spare beside PostgreSQL's; each forms smaller batches.
    log_level
        debug, info, warning, error or critical, instead of LOG_LEVEL.
    data_dir
        Data folder of `auth-service dev`: what is not configured is taken from one that runs there.
    """
    # The workers read the environment again, each for itself.
    for variable, value in {"HOST": host, "PORT": port, "LOG_LEVEL": log_level}.items():
        if value is not None:
            os.environ[variable] = str(value)
    of_dev = export_from_dev(data_dir)
    settings = load(ServeSettings)
    configure_logging(settings.log)
    if of_dev:
        log.warning("uses settings of the running dev", variables=of_dev, data_dir=str(data_dir))
    _refuse_taken_port(settings.http)
    require_extra(settings.tracing)  # here, where it is said once, and not by each worker
    with metrics_folder() if workers > 1 else nullcontext():
        _server(settings, workers).serve()


class _Server(MPServer):
    """On SIGHUP new workers read `.env` and `*_FILE` again and take over, but not when they could not begin."""

    def signal_handler_reload(self, *arguments: Any, **named: Any) -> None:
        try:
            load(ServeSettings)
        except ConfigurationError as error:  # new workers would end at once, and granian with them
            problems = [str(problem) for problem in error.problems]
            log.error("not reloaded", problems=problems)  # noqa: TRY400  # where it was raised says nothing more
        else:
            super().signal_handler_reload(*arguments, **named)  # type: ignore[no-untyped-call]


def _server(settings: ServeSettings, workers: int) -> MPServer:
    return _Server(
        "entrypoints.http.app:create_app",
        address=settings.http.host,
        port=settings.http.port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=LONGEST_HEADERS_BYTES),
        websockets=False,
        backlog=2048,
        backpressure=CONNECTIONS,
        workers_kill_timeout=DRAIN_S + math.ceil(settings.http.shutdown_delay_s),
        respawn_failed_workers=workers > 1,
        log_access=False,
        log_level=LogLevels(settings.log.log_level),
        log_dictconfig=_LOG_CONFIG,
        process_name=None,
    )


def _refuse_taken_port(settings: HttpSettings) -> None:
    """Granian shares ports between processes (SO_REUSEPORT): a second service would get half of the requests."""
    try:
        family, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        sys.exit(
            f"Cannot listen on HOST {settings.host}, PORT {settings.port}: {error.strerror}. "
            "Set HOST and PORT (or --host, --port) to an address of this machine and a free port."
        )
