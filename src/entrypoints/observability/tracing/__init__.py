"""Traces, when the standard variables ask for them; otherwise no module of OpenTelemetry is imported."""

import importlib.util
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from attrs import frozen

from application.relay.ports import Publisher
from application.users.ports import UserReader, UserStore
from application.users.receive_webhook import ReadBody
from domain.decision import Outcome
from domain.user import Tombstone, User, UserId
from entrypoints.config.settings import TracingSettings
from entrypoints.config.sources import ConfigProblem, ConfigurationError

if TYPE_CHECKING:
    from litestar.types import ASGIApp  # a relay has no use for it

_EXTRA = ("opentelemetry.sdk", "opentelemetry.instrumentation.asyncpg", "opentelemetry.exporter.otlp.proto.http")


T = TypeVar("T")


class Change(Protocol):
    """A change of a user that is written together with others."""

    @property
    def traceparent(self) -> str | None: ...


ReceivesWebhook = Callable[[Mapping[str, str], ReadBody], Awaitable[Outcome]]  # `ReceiveWebhook`
ObtainUser = Callable[[UserId], Awaitable[User | Tombstone]]  # `JustInTimeSync`


def _as_it_is(part: T) -> T:
    return part


@frozen(kw_only=True)
class Tracing:
    """Where a process makes its spans: each part is passed here, and a part that does the same is returned.

    This one makes no spans and returns every part as it is; `sdk.started` returns one that does.
    """

    requests: "Callable[[ASGIApp], ASGIApp]" = _as_it_is
    """Traces requests and their statements; call it before connecting."""
    receive_webhook: Callable[[ReceivesWebhook], ReceivesWebhook] = _as_it_is
    just_in_time: Callable[[ObtainUser], ObtainUser] = _as_it_is
    user_reader: Callable[[UserReader], UserReader] = _as_it_is
    user_store: Callable[[UserStore], UserStore] = _as_it_is
    """Traces each change; the store runs its batches in `batch`."""
    batch: Callable[[Sequence[Change]], AbstractContextManager[Any]] = nullcontext
    """Returns the context that a batch of changes is written in."""
    publisher: Callable[[Publisher, Mapping[str, str]], Publisher] = lambda publisher, _: publisher
    """Traces each event from being stored to its arrival in the topic of its type."""
    end: Callable[[], None] = lambda: None
    """Exports what there is, in bounded time."""


def tracing_of(settings: TracingSettings, *, process: str) -> Tracing:
    """Start what the settings ask for in this process, named `process` in traces; raises as `require_extra`.

    Call it before FastStream is imported and before Litestar is set up.
    """
    if settings.exporter is None:
        # Litestar and FastStream import it wherever it is installed, and use nothing of it here: 0.1 s of each start.
        sys.modules.setdefault("opentelemetry", None)  # type: ignore[arg-type]  # "not to be found" (import system)
        return Tracing()
    require_extra(settings)
    from entrypoints.observability.tracing.sdk import started  # noqa: PLC0415

    return started(settings, process=process)


def require_extra(settings: TracingSettings) -> None:
    """Raise ConfigurationError if traces are asked for and the extra `otel` is not installed."""
    if settings.exporter is None or all(map(_is_installed, _EXTRA)):
        return
    name = "OTEL_TRACES_EXPORTER" if settings.otel_traces_exporter else "OTEL_EXPORTER_OTLP_ENDPOINT"
    raise ConfigurationError(ConfigProblem(name, "set, and the extra `otel` of this package is not installed"))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False
