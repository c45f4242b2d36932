"""The ASGI application, from the container."""

import gc
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import structlog
from dependency_injector.providers import Object
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.types import ASGIApp

from anomalyze_auth import TokenRejected
from application.failure import WEBHOOKS
from entrypoints.composition import Container, container_for, serving
from entrypoints.config import proxies
from entrypoints.config.loading import load
from entrypoints.config.settings import ServeSettings
from entrypoints.http import problems
from entrypoints.http.authentication import Authentication
from entrypoints.http.dependencies import provided
from entrypoints.http.middleware.body import AnswerFirst
from entrypoints.http.middleware.cors import Cors
from entrypoints.http.middleware.graceful_shutdown import GracefulShutdown, GracefulShutdownMiddleware
from entrypoints.http.middleware.head_bounds import HeadBounds
from entrypoints.http.middleware.path_check import OneReading
from entrypoints.http.middleware.request_middleware import (
    RequestMiddleware,
    log_failure,
    note,
    note_cause,
    note_outcome,
)
from entrypoints.http.openapi import routes as schema
from entrypoints.http.recent_failures import RecentFailures, cause_of
from entrypoints.http.rejection_throttle import RejectionThrottle
from entrypoints.http.routes import health, root
from entrypoints.http.routes.handlers import HANDLERS
from entrypoints.http.routes.verify import AnyMethodAnyPath
from entrypoints.http.users.admission import Admission
from entrypoints.http.users.management import Management
from entrypoints.observability import metrics
from entrypoints.observability.logging import configure_logging, log_loop_failures, places
from entrypoints.observability.process_metrics import ProcessMetrics, telling
from entrypoints.observability.tracing import tracing_of

if TYPE_CHECKING:
    from entrypoints.observability.tracing.sdk import Tracing

log = structlog.get_logger("http")

_STAYING = GracefulShutdown(0)


def create_app() -> ASGIApp:
    """Return the application of one worker process, from its environment."""
    settings = load(ServeSettings)
    proxies.use(settings.proxies)
    configure_logging(settings.log)
    departure = GracefulShutdown(settings.http.shutdown_delay_s)
    departure.await_sigterm()
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True, name="leave-with-parent").start()
    tracing = tracing_of(settings.tracing, process="auth-service")
    return GracefulShutdownMiddleware(app_for(container_for(settings), tracing, departure), departure)


def _leave_with(parent: int) -> None:
    """Stop gracefully when the parent is gone: killed outright, it would leave workers that hold the port."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def app_for(container: Container, tracing: "Tracing | None" = None, departure: GracefulShutdown = _STAYING) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        vitals = ProcessMetrics(container.database_load(), container.session_keys())
        log_loop_failures()
        with _told_without_text():
            async with serving(container), telling(vitals):
                # What is loaded by now lives as long as the process: a full collection would look at all of it again,
                # 70 ms in which every request waits.
                gc.collect()
                gc.freeze()
                yield

    troubles = RecentFailures(time.monotonic)

    def obtained() -> None:
        metrics.count_obtained()
        # Somebody signed in whom no webhook had told of, so those that were refused were Clerk's.
        troubles.prove(WEBHOOKS)

    container.on_obtained.override(Object(obtained))
    if tracing:
        tracing.serving(container)
    rejections = RejectionThrottle(time.monotonic)

    def answered(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        if cause := cause_of(error):
            troubles.went_wrong(cause)
            note_cause(request.scope, cause)
        if isinstance(error, TokenRejected):
            note(request.scope, "reason", error.reason)
        return _answer(request, error)

    litestar = Litestar(
        [*HANDLERS, root.read_root, schema.read_page, schema.read_document],
        dependencies=_dependencies(container, troubles, departure, rejections),
        before_request=HeadBounds(rejections),
        exception_handlers={Exception: answered},
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=None,
    )
    origins = frozenset(origin.encode() for origin in container.tokens().clerk_authorized_parties)
    app: ASGIApp = OneReading(Cors(AnyMethodAnyPath(litestar), origins))
    return AnswerFirst(RequestMiddleware(tracing.requests(app) if tracing else app, troubles))


@contextmanager
def _told_without_text() -> Iterator[None]:
    """Log what breaks the start or the stop: Litestar would have the server log a traceback with the error's text."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is
        log.critical("start or stop failed", error=type(error).__name__, at=places(error))
        raise RuntimeError(type(error).__name__) from None


def _dependencies(
    container: Container, troubles: RecentFailures, departure: GracefulShutdown, rejections: RejectionThrottle
) -> dict[str, Provide]:
    """One for each handler: several of one handler would run as tasks of a task group, at 15 µs each."""

    @cache
    def authentication() -> Authentication:
        return Authentication(
            container.request_verifier(),
            container.get_current_user(),
            rejections,
        )

    @cache
    def management() -> Management:
        settings = container.management()
        return Management(
            admission=Admission(
                authentication=authentication(),
                keys=settings.auth_service_keys,
                permission=settings.auth_service_permission,
                organizations=settings.auth_service_organizations,
            ),
            list_users=container.list_users(),
            get_user=container.get_user(),
            manage_users=container.manage_users(),
        )

    @cache
    def health_dependencies() -> health.Dependencies:
        return health.Dependencies(
            check_database=container.check_database(),
            try_writing=container.try_writing(),
            read_backlog=container.outbox_admin().status,
            session_keys=container.session_keys(),
            troubles=troubles,
            departure=departure,
            clock=time.monotonic,
        )

    return {
        "receive_webhook": provided(container.receive_webhook),
        "authentication": provided(authentication),
        "management": provided(management),
        "dependencies": provided(health_dependencies),
    }


def _answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem, headers, body = problems.answer(error)
    note_outcome(request.scope, problem.code)
    if problem is problems.INTERNAL:
        log_failure(request.scope, error)
    return Response(body, status_code=problem.status, headers=headers)
