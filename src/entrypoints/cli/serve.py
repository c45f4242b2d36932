"""`auth-service serve`: the HTTP process, on granian."""

import math
import os
import resource
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
from entrypoints.http.limits import HEAD_LIMIT_BYTES
from entrypoints.http.metrics_folder import metrics_folder
from entrypoints.local.environment import DATA_DIR, export_from_dev
from entrypoints.logging import configure_logging
from entrypoints.settings import HttpSettings, ServeSettings
from entrypoints.tracing import require_extra

DRAIN_S = 20
"""How long a request may run after SIGTERM and SHUTDOWN_DELAY_S; below the 30 s that orchestrators give by default."""

CONNECTIONS = 8192
"""Open connections of one worker, idle ones and half-sent heads among them; the rest wait in the kernel's queue.

Each costs some 20 KiB, at most 26 with a head that does not end: 208 MiB of the 512 that a container is given.
"""

OTHER_DESCRIPTORS = 256
"""Of one worker: PostgreSQL's connections, Clerk's, files. Without one to accept with, the server would spin."""

HEAD_READ_BYTES = HEAD_LIMIT_BYTES
"""Where the server stops reading a head that does not end; it may have read twice as much by then."""

HEAD_TIMEOUT_MS = 10_000
"""For a head to be complete, and for a connection to stay idle: the server knows no difference."""

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
    _say_what_is_closed(settings)
    if of_dev:
        log.warning("uses settings of the running dev", variables=of_dev, data_dir=str(data_dir))
    _refuse_taken_port(settings.http)
    require_extra(settings.tracing)  # here, where it is said once, and not by each worker
    with metrics_folder() if workers > 1 else nullcontext():
        _server(settings, workers).serve()


def _say_what_is_closed(settings: ServeSettings) -> None:
    """Tell what a variable that is not set keeps closed, once, and not for each request that finds it so."""
    if not settings.tokens.clerk_authorized_parties:
        log.warning("the session cookie is not read: CLERK_AUTHORIZED_PARTIES is not set")
    if not settings.management.auth_service_organizations:
        log.info("nobody manages users by a session token: AUTH_SERVICE_ORGANIZATIONS is not set")


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
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT_MS, max_buffer_size=HEAD_READ_BYTES),
        websockets=False,
        backlog=2048,
        backpressure=_connections(),
        workers_kill_timeout=DRAIN_S + math.ceil(settings.http.shutdown_delay_s),
        respawn_failed_workers=workers > 1,
        log_access=False,
        log_level=LogLevels(settings.log.log_level),
        log_dictconfig=_LOG_CONFIG,
        process_name=None,
    )


def _connections() -> int:
    """Return how many a worker may have: as many as descriptors are to be had for, after asking for all of them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    descriptors = math.inf if most == resource.RLIM_INFINITY else most
    connections = int(max(1, min(CONNECTIONS, descriptors - OTHER_DESCRIPTORS)))
    if connections < CONNECTIONS:
        log.warning("few descriptors", hard_limit=most, connections=connections, wanted=CONNECTIONS + OTHER_DESCRIPTORS)
    return connections


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
