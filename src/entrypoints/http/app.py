"""The ASGI application, from the container."""

import asyncio
import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar
from litestar.types import ASGIApp, Scope

from anomalyze_auth import TokenRejected
from entrypoints.composition import container_of
from entrypoints.composition.lifecycle import serving
from entrypoints.composition.serve import ServeContainer
from entrypoints.config.loading import load
from entrypoints.config.settings import ServeSettings
from entrypoints.http import problems
from entrypoints.http.authentication import Authentication
from entrypoints.http.dependencies import provided
from entrypoints.http.middleware.body import AnswerFirst
from entrypoints.http.middleware.cors import Cors
from entrypoints.http.middleware.direct_routes import DirectRoutes, routes_of
from entrypoints.http.middleware.graceful_shutdown import GracefulShutdown, GracefulShutdownMiddleware
from entrypoints.http.middleware.head_bounds import HeadBounds
from entrypoints.http.middleware.path_check import OneReading
from entrypoints.http.middleware.request_middleware import (
    RequestMiddleware,
    log_failure,
    note,
    note_failure,
    note_outcome,
)
from entrypoints.http.openapi import routes as schema
from entrypoints.http.plain_response import PlainResponse
from entrypoints.http.recent_failures import failure_of
from entrypoints.http.rejection_throttle import RejectionThrottle
from entrypoints.http.routes.handlers import DIRECT, HANDLERS
from entrypoints.http.routes.health import Dependencies
from entrypoints.http.routes.root import root_handler
from entrypoints.http.routes.verify import AnyMethodAnyPath
from entrypoints.http.users.admission import Admission
from entrypoints.http.users.management import Management
from entrypoints.observability.logging import configure_logging, log_loop_failures, places
from entrypoints.observability.process_metrics import ProcessMetrics, reporting
from entrypoints.observability.tracing import tracing_of

log = structlog.get_logger("http")


def create_app() -> ASGIApp:
    """Return the application of one worker process, from its environment."""
    settings = load(ServeSettings)
    settings.proxies.export()
    configure_logging(settings.log)
    tracing = tracing_of(settings.tracing, process="auth-service")
    container = container_of(ServeContainer, settings, traced=tracing)
    shutdown = GracefulShutdown(settings.http.shutdown_delay_s)
    shutdown.await_sigterm()
    # Noted when this process was started: by now the parent may be gone, and another the parent.
    parent = multiprocessing.parent_process()
    pid = parent.pid if parent else os.getppid()
    threading.Thread(target=_leave_with, args=(pid,), daemon=True, name="leave-with-parent").start()
    return GracefulShutdownMiddleware(app_for(container, shutdown), shutdown)


def _leave_with(parent: int) -> None:
    """Stop gracefully when the parent is gone: killed outright, it would leave workers that hold the port."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def app_for(container: ServeContainer, shutdown: GracefulShutdown) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        log_loop_failures()
        try:
            metrics = ProcessMetrics(container.database_load, container.session_keys())
            async with serving(container), reporting(metrics):
                # What is loaded by now lives as long as the process: a full collection would look at all of it again,
                # 70 ms in which every request waits.
                gc.collect()
                gc.freeze()
                # The objects of 32 requests at a time are more than the 700 that Python collects after by default.
                gc.set_threshold(10_000)
                shutdown.started()
                yield
        except Exception as error:  # noqa: BLE001  # whatever breaks the start or the stop
            # Litestar would have the server log a traceback with the error's text.
            log.critical("lifespan_failed", error=type(error).__name__, at=places(error))
            raise RuntimeError(type(error).__name__) from None
        finally:
            await asyncio.to_thread(container.traced().end)

    failures = container.recent_failures()

    def answer(scope: Scope, error: Exception) -> PlainResponse[Any]:
        if failure := failure_of(error):
            failures.failed(failure)
            note_failure(scope, failure)
        if isinstance(error, TokenRejected):
            note(scope, "reason", error.reason)
        problem = problems.problem_of(error)
        note_outcome(scope, problem.code)
        if problem is problems.INTERNAL:
            log_failure(scope, error)
        return problems.response_to(error)

    rejections = RejectionThrottle(time.monotonic)
    bounds = HeadBounds(rejections)
    # One for each handler: several of one handler would run as tasks of a task group, at 15 µs each.
    dependencies = {
        "receive_webhook": provided(container.receive_webhook),
        "authentication": provided(
            lambda: Authentication(container.request_verifier(), container.get_current_user(), rejections)
        ),
        "management": provided(lambda: _management(container, rejections)),
        "dependencies": provided(lambda: _health_dependencies(container, shutdown)),
    }
    litestar = Litestar(
        [
            *HANDLERS,
            root_handler(container.http().root_links),
            schema.read_page,
            schema.read_script,
            schema.read_document,
        ],
        dependencies=dependencies,
        before_request=bounds,
        exception_handlers={Exception: lambda request, error: answer(request.scope, error)},
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=None,
    )
    origins = frozenset(origin.encode() for origin in container.tokens().clerk_authorized_parties)
    direct = DirectRoutes(litestar, routes_of(DIRECT, dependencies), bounds, answer)
    app: ASGIApp = OneReading(Cors(AnyMethodAnyPath(direct), origins))
    return AnswerFirst(RequestMiddleware(container.traced().requests(app), failures))


def _management(container: ServeContainer, rejections: RejectionThrottle) -> Management:
    settings = container.management()
    return Management(
        admission=Admission(
            authentication=Authentication(container.request_verifier(), container.get_manager(), rejections),
            keys=settings.auth_service_keys,
            permission=settings.auth_service_permission,
            organizations=settings.auth_service_organizations,
        ),
        list_users=container.list_users(),
        get_user=container.get_user(),
        manage_users=container.manage_users(),
    )


def _health_dependencies(container: ServeContainer, shutdown: GracefulShutdown) -> Dependencies:
    return Dependencies(
        check_database=container.check_database,
        try_writing=container.try_writing,
        read_backlog=container.outbox_admin().status,
        replicas=container.replicas(),
        session_keys=container.session_keys(),
        failures=container.recent_failures(),
        shutdown=shutdown,
        clock=time.monotonic,
    )
