"""`auth-service serve`: the HTTP process, on granian."""

import errno
import math
import os
import resource
import socket
from contextlib import nullcontext
from typing import Annotated, Any

import structlog
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from entrypoints.cli.exit_codes import EX_CONFIG, EX_NOT_DONE
from entrypoints.cli.granian_server import Server
from entrypoints.cli.options import between
from entrypoints.cli.terminal import fail
from entrypoints.config.loading import load, load_from
from entrypoints.config.parsing import MOST_WORKERS
from entrypoints.config.settings import HttpSettings, ServeSettings
from entrypoints.config.sources import found_variables
from entrypoints.http.limits import HEAD_LIMIT_BYTES
from entrypoints.observability.logging import configure_logging
from entrypoints.observability.metrics_folder import metrics_folder
from entrypoints.observability.tracing import require_extra

DRAIN_S = 20  # how long a request may run after SIGTERM and SHUTDOWN_DELAY_S, below an orchestrator's usual 30 s

CONNECTIONS = 8192
"""Open connections of one worker, idle ones and half-sent heads among them; the rest wait in the kernel's queue.

Each costs some 20 KiB, at most 26 with a head that does not end: 208 MiB of the 512 that a container is given.
"""

OTHER_DESCRIPTORS = 256  # a worker's: PostgreSQL, Clerk, files. Without one to accept with, the server would spin.
HEAD_TIMEOUT_MS = 10_000  # for a head to be complete, and for an idle connection: the server has one limit for both

log = structlog.get_logger("serve")

# granian would write its lines itself, in another format.
_LOG_CONFIG: dict[str, Any] = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "propagate": True}},
}


def serve(
    *,
    host: str | None = None,
    port: Annotated[int | None, between(1, 65_535)] = None,
    workers: Annotated[int | None, between(1, MOST_WORKERS)] = None,
    log_level: str | None = None,
) -> None:
    """Serve webhooks, /v1/me and forward auth over HTTP.

    Needs DATABASE_URL, CLERK_WEBHOOK_SECRET and one of CLERK_PUBLISHABLE_KEY, CLERK_JWT_KEY, CLERK_JWKS_URL, from
    the environment or `.env`. Kafka is not needed here: that is `auth-service relay`.

    Args:
        host: Address to listen on, instead of HOST.
        port: Port to listen on, instead of PORT.
        workers: Processes, instead of WEB_CONCURRENCY. More are faster only if PostgreSQL leaves cores idle;
            each forms smaller batches.
        log_level: debug, info, warning, error or critical, instead of LOG_LEVEL.
    """
    # The workers read the environment again, each for itself.
    options = {"HOST": host, "PORT": port, "WEB_CONCURRENCY": workers, "LOG_LEVEL": log_level}
    for variable, value in options.items():
        if value is not None:
            os.environ[variable] = str(value)
    found = found_variables()
    settings = load_from(ServeSettings, found)
    configure_logging(settings.log)
    _log_what_is_closed(settings)
    if of_dev := sorted(name for name, value in found.items() if value.development):
        log.warning("dev_settings_used", variables=of_dev)
    address = _free_address(settings.http)
    require_extra(settings.tracing)  # here, so that it is reported once and not by each worker
    with metrics_folder() if settings.http.web_concurrency > 1 else nullcontext():
        _server(settings, address).serve()


def _log_what_is_closed(settings: ServeSettings) -> None:
    """Log what stays closed because a variable is not set: once, and not for each request."""
    if not settings.tokens.clerk_authorized_parties:
        log.warning("session_cookie_not_read", reason="CLERK_AUTHORIZED_PARTIES is not set")
    if not settings.management.auth_service_organizations:
        log.info("no_management_by_token", reason="AUTH_SERVICE_ORGANIZATIONS is not set")


def _server(settings: ServeSettings, address: str) -> Server:
    return Server(
        "entrypoints.http.app:create_app",
        can_begin=lambda: load(ServeSettings),
        address=address,
        port=settings.http.port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=settings.http.web_concurrency,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT_MS, max_buffer_size=HEAD_LIMIT_BYTES),
        websockets=False,
        backlog=2048,
        backpressure=_connections(),
        workers_kill_timeout=DRAIN_S + math.ceil(settings.http.shutdown_delay_s),
        respawn_failed_workers=settings.http.web_concurrency > 1,
        log_access=False,
        log_level=LogLevels(settings.log.log_level),
        log_dictconfig=_LOG_CONFIG,
        process_name=None,
    )


def _connections() -> int:
    """Return how many a worker may have, after raising the limit of descriptors as far as allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    descriptors = math.inf if most == resource.RLIM_INFINITY else most
    connections = int(max(1, min(CONNECTIONS, descriptors - OTHER_DESCRIPTORS)))
    if connections < CONNECTIONS:
        log.warning(
            "descriptor_limit_low", hard_limit=most, connections=connections, wanted=CONNECTIONS + OTHER_DESCRIPTORS
        )
    return connections


def _free_address(settings: HttpSettings) -> str:
    """Return the address that HOST names, IPv4 where a name has both, or end the program when it cannot be listened on.

    A port that is taken has to be found here. Granian shares it (SO_REUSEPORT): a second service would get half of the
    requests.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        fail(
            f"Cannot listen on HOST {settings.host}, PORT {settings.port}: {error.strerror}. "
            "Set HOST and PORT (or --host, --port) to an address of this machine and a free port.",
            EX_NOT_DONE if error.errno == errno.EADDRINUSE else EX_CONFIG,
        )
    return str(address[0])
