"""`/health`, for people and load balancers; `/health/live` and `/health/ready`, for an orchestrator; `/metrics`."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Protocol, TypeVar

import structlog
from attrs import define, field, frozen
from litestar import Response, get

from anomalyze_auth import JwksKeys, KeysFault, KeySource
from application.doctor.findings import Severity
from application.doctor.outbox import outbox_findings
from application.errors import StoreUnavailableError
from application.failure import CLERK, KEYS, POSTGRES, TOKENS, WEBHOOKS, Cause, Failure
from application.relay.dead_letters import OutboxStatus
from application.users.replica import NOT_ASKED
from entrypoints.http.dependencies import Injected
from entrypoints.http.middleware.graceful_shutdown import GracefulShutdown
from entrypoints.http.openapi.document import problems
from entrypoints.http.problems import NOT_READY, HttpError
from entrypoints.http.recent_failures import CAUSE_OF_KEYS, RecentFailures
from entrypoints.observability import metrics

T = TypeVar("T")

log = structlog.get_logger("http")

CHECK_DEADLINE_S = 2.0  # shorter than an orchestrator's own timeout, or it would see a timeout instead of an answer
WRITE_EVERY_S = 60.0  # a write is tried while all is well: a full disk shows nowhere else; each leaves a dead row
BACKLOG_EVERY_S = 5.0  # counting what waits takes 0.6 s for a million events, and several may ask each second


class State(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"  # requests are served; something else needs an operator
    UNAVAILABLE = "unavailable"
    NOT_ASKED_YET = "not asked yet"


@frozen
class Health:
    """The state of the process and of what it depends on, by name; and why, or what else was seen of one that is ok.

    `causes` are for people; `labels` say the same in the few words that metrics have, for programs.
    """

    status: State
    checks: dict[str, State]
    causes: dict[str, str]
    labels: dict[str, str]


@frozen
class _Check:
    name: str
    state: State
    cause: str = ""
    label: str = ""


class Replicas(Protocol):
    @property
    def failures(self) -> Mapping[str, Failure | None]:
        """By address: why it is not in use, or None."""


@define(kw_only=True)
class Dependencies:
    """What requests need beside this process; Kafka is the relay's, and shows here as events that wait."""

    check_database: Callable[[], Awaitable[None]]
    try_writing: Callable[[], Awaitable[None]]
    read_backlog: Callable[[], Awaitable[OutboxStatus]]
    replicas: Replicas | None = None
    session_keys: KeySource
    failures: RecentFailures
    shutdown: GracefulShutdown
    clock: Callable[[], float]
    _database_failure: Failure | None = field(default=None, init=False)
    _written_at: float = field(default=float("-inf"), init=False)
    _backlog: tuple[float, list[_Check]] = field(default=(float("-inf"), []), init=False)

    def process(self) -> list[_Check]:
        return [_Check("process", State.UNAVAILABLE, "it is about to leave")] if self.shutdown.begun else []

    async def database(self) -> _Check:
        try:
            await _in_time(self.check_database())
            if self.failures.of(POSTGRES) or self.clock() - self._written_at > WRITE_EVERY_S:
                await _in_time(self.try_writing())
                self._written_at = self.clock()
                self.failures.succeeded(POSTGRES)
        except StoreUnavailableError as error:
            self._log(error.failure)
            metrics.FAILURES.labels(error.failure.label).inc()
            return _Check("database", State.UNAVAILABLE, _without_hosts(error.failure), error.failure.label)
        self._log(None)
        return _Check("database", State.OK)

    def _log(self, failure: Failure | None) -> None:
        """Log when the database becomes unusable and when it is usable again: probes ask every few seconds."""
        before = self._database_failure
        if failure and (before is None or failure.cause is not before.cause):
            log.error("not_ready", cause=str(failure))
        elif before and not failure:
            log.info("ready_again", cause=str(before))
        self._database_failure = failure

    def replica(self) -> list[_Check]:
        """Return no worse than degraded: what no replica answers, the primary does."""
        if self.replicas is None:
            return []
        states = self.replicas.failures.values()
        in_use = None in states
        # Beside one that is in use, the primary may be among the addresses.
        failed = Counter(each for each in states if each and not (in_use and each.cause is Cause.NOT_A_STANDBY))
        causes = [f"{count} of {len(states)}: {failure}" for failure, count in failed.items()]
        label = next((failure.label for failure in failed), "")
        unasked = all(failure is NOT_ASKED for failure in states)
        state = State.OK if in_use else State.NOT_ASKED_YET if unasked else State.DEGRADED
        return [_Check("replica", state, "; ".join(causes), label)]

    def keys(self) -> _Check:
        if not isinstance(self.session_keys, JwksKeys) or (keys := self.session_keys.state).usable:
            return _Check("session_keys", State.OK)
        if not keys.fetches:
            return _Check("session_keys", State.NOT_ASKED_YET)
        failure = Failure(KEYS, CAUSE_OF_KEYS[keys.last_cause or KeysFault.OUT_OF_REACH], keys.last_error or "")
        return _Check("session_keys", State.UNAVAILABLE, str(failure), failure.label)

    def lately(self, name: str, subject: str) -> _Check:
        recent = self.failures.of(subject)
        if recent is None:
            return _Check(name, State.OK)
        return _Check(name, State.DEGRADED if recent.proven else State.OK, str(recent), recent.failure.label)

    async def events(self) -> list[_Check]:
        """Check whether events are published, and whether something keeps PostgreSQL from removing their rows."""
        read_at, checks = self._backlog
        if self.clock() - read_at > BACKLOG_EVERY_S:
            try:
                checks = _of_backlog(await _in_time(self.read_backlog()))
            except StoreUnavailableError:  # reported by the check of the database, or too many to count
                checks = []
            self._backlog = (self.clock(), checks)
        return checks


@get("/health/live", summary="Whether the process runs", responses=problems())
async def live() -> Health:
    """Answer, and nothing else: a database that is away is no reason to restart this process."""
    return Health(State.OK, {}, {}, {})


@get("/health/ready", summary="Whether requests can be served", responses=problems(NOT_READY))
async def ready(dependencies: Injected[Dependencies]) -> Health:
    """Ask the database, and now and then whether it takes a write."""
    return _verdict([await dependencies.database(), *dependencies.process()])


@get("/health", summary="The state of every dependency", responses=problems(NOT_READY))
async def health(dependencies: Injected[Dependencies]) -> Health:
    """Ask for all of it; only what requests cannot do without makes it 503, the rest is `degraded`, and 200."""
    return _verdict(
        [
            await dependencies.database(),
            *dependencies.replica(),
            dependencies.keys(),
            dependencies.lately("session_tokens", TOKENS),
            dependencies.lately("webhooks", WEBHOOKS),
            dependencies.lately("clerk", CLERK),
            *await dependencies.events(),
            *dependencies.process(),
        ]
    )


@get("/metrics", summary="Prometheus metrics", media_type="text/plain", responses=problems())
async def read_metrics() -> Response[bytes]:
    """Answer in Prometheus' text format, for all workers together."""
    return Response(metrics.render(), headers={"content-type": metrics.CONTENT_TYPE})


async def _in_time(check: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(CHECK_DEADLINE_S):
            return await check
    except TimeoutError:
        raise StoreUnavailableError from None


def _without_hosts(failure: Failure) -> str:
    """Describe it in public: the names of the servers are in the log and in `doctor`."""
    return failure.label if failure.cause is Cause.NO_PRIMARY else str(failure)


def _of_backlog(status: OutboxStatus) -> list[_Check]:
    """Use the findings of `doctor`; that no relay runs while nothing waits does not concern this process."""
    worse = [finding for finding in outbox_findings(status) if finding.severity is not Severity.OK]
    causes = {"events": "", "vacuum": ""}
    for finding in worse:
        if finding.check in ("relay", "dead letters") and (status.waiting or status.dead):
            causes["events"] = "; ".join(filter(None, (causes["events"], finding.says)))
        elif finding.check == "vacuum":
            causes["vacuum"] = finding.says
    return [_Check(name, State.DEGRADED if cause else State.OK, cause) for name, cause in causes.items()]


def _verdict(found: list[_Check]) -> Health:
    checks = {check.name: check.state for check in found}
    causes = {check.name: check.cause for check in found if check.cause}
    labels = {check.name: check.label for check in found if check.label}
    if State.UNAVAILABLE in checks.values():
        raise HttpError(NOT_READY, checks=checks, causes=causes, labels=labels)
    return Health(State.DEGRADED if State.DEGRADED in checks.values() else State.OK, checks, causes, labels)
