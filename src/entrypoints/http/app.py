"""The ASGI application, from the container."""

import gc
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.types import ASGIApp

from entrypoints.configuration import load
from entrypoints.container import Container, container_for, serving
from entrypoints.http import health, problems, schema
from entrypoints.http.authentication import Authentication
from entrypoints.http.cors import Cors
from entrypoints.http.dependencies import provided
from entrypoints.http.edge import Edge, log_failure, note_outcome
from entrypoints.http.handlers import HANDLERS
from entrypoints.http.pace import Pace
from entrypoints.http.verify import AnyMethodAnyPath
from entrypoints.logging import configure_logging
from entrypoints.settings import ServeSettings


def create_app() -> ASGIApp:
    """Return the application of one worker process, from its environment."""
    settings = load(ServeSettings)
    configure_logging(settings.log)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True, name="leave-with-parent").start()
    return app_for(container_for(settings))


def _leave_with(parent: int) -> None:
    """Stop gracefully when the parent is gone: killed outright, it would leave workers that hold the port."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def app_for(container: Container) -> ASGIApp:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with serving(container):
            # What is loaded by now lives as long as the process: a full collection would look at all of it again,
            # 70 ms in which every request waits.
            gc.collect()
            gc.freeze()
            yield

    litestar = Litestar(
        [*HANDLERS, schema.read_page, schema.read_document],
        dependencies=_dependencies(container),
        exception_handlers={Exception: _answer},
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=None,
    )
    origins = frozenset(origin.encode() for origin in container.tokens().clerk_authorized_parties)
    return Edge(Cors(AnyMethodAnyPath(litestar), origins))


def _dependencies(container: Container) -> dict[str, Provide]:
    """One for each handler: several of one handler would run as tasks of a task group, at 15 µs each."""

    @cache
    def authentication() -> Authentication:
        return Authentication(
            container.session_verifier(),
            container.tokens().cookie_suffix,
            container.get_current_user(),
            Pace(time.monotonic),
        )

    return {
        "receive_webhook": provided(container.receive_webhook),
        "authentication": provided(authentication),
        "dependencies": provided(lambda: health.Dependencies(container.check_database(), container.session_keys())),
    }


def _answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem, headers, body = problems.answer(error)
    note_outcome(request.scope, problem.code)
    if problem is problems.INTERNAL:
        log_failure(request.scope, error)
    return Response(body, status_code=problem.status, headers=headers)
