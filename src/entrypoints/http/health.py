"""`/health`, for people and load balancers; `/health/live` and `/health/ready`, for an orchestrator; `/metrics`."""

from collections.abc import Awaitable, Callable
from enum import StrEnum

from attrs import frozen
from litestar import Response, get

from anomalyze_auth import JwksKeys, KeySource
from application.errors import StoreUnavailableError
from entrypoints.http import metrics
from entrypoints.http.deadline import within
from entrypoints.http.dependencies import Injected
from entrypoints.http.errors import NotReadyError
from entrypoints.http.openapi import problems

CHECK_DEADLINE_S = 2.0
"""Shorter than an orchestrator's patience, or it would see a time-out instead of an answer."""


class State(StrEnum):
    OK = "ok"
    UNAVAILABLE = "unavailable"
    NOT_ASKED_YET = "not asked yet"


@frozen
class Health:
    """The state of the process and of what it depends on, by name."""

    status: State
    checks: dict[str, State]


@frozen
class Dependencies:
    """What requests need beside this process; Kafka is the relay's."""

    check_database: Callable[[], Awaitable[None]]
    session_keys: KeySource

    async def database(self) -> State:
        try:
            await within(CHECK_DEADLINE_S, self.check_database())
        except StoreUnavailableError:
            return State.UNAVAILABLE
        return State.OK

    def keys(self) -> State:
        if not isinstance(self.session_keys, JwksKeys) or self.session_keys.state.usable:
            return State.OK
        return State.UNAVAILABLE if self.session_keys.state.fetches else State.NOT_ASKED_YET


@get("/health/live", summary="Whether the process runs", responses=problems())
async def live() -> Health:
    """Answer, and nothing else: a database that is away is no reason to restart this process."""
    return Health(State.OK, {})


@get("/health/ready", summary="Whether requests can be served", responses=problems(NotReadyError))
async def ready(dependencies: Injected[Dependencies]) -> Health:
    """Ask the database."""
    return _verdict({"database": await dependencies.database()})


@get("/health", summary="The state of every dependency", responses=problems(NotReadyError))
async def health(dependencies: Injected[Dependencies]) -> Health:
    """Ask the database and look at the signing keys."""
    return _verdict({"database": await dependencies.database(), "session_keys": dependencies.keys()})


@get("/metrics", summary="Prometheus metrics", media_type="text/plain", responses=problems())
async def read_metrics() -> Response[bytes]:
    """Answer in Prometheus' text format, for all workers together."""
    return Response(metrics.render(), headers={"content-type": metrics.CONTENT_TYPE})


def _verdict(checks: dict[str, State]) -> Health:
    if State.UNAVAILABLE in checks.values():
        raise NotReadyError(checks)
    return Health(State.OK, checks)
