"""Traces, when the standard variables ask for them; otherwise no module of OpenTelemetry is imported."""

import importlib.util
import sys
from typing import TYPE_CHECKING

from entrypoints.config.loading import ConfigurationError
from entrypoints.config.settings import TracingSettings
from entrypoints.config.sources import ConfigProblem

if TYPE_CHECKING:
    from entrypoints.observability.tracing.sdk import Tracing

_EXTRA = ("opentelemetry.sdk", "opentelemetry.instrumentation.asyncpg", "opentelemetry.exporter.otlp.proto.http")


def tracing_of(settings: TracingSettings, *, process: str) -> "Tracing | None":
    """Start what the settings ask for in this process, named `process` in traces; `None` when that is nothing.

    Call it before Litestar or FastStream is set up.

    Raises:
        ConfigurationError: as `require_extra`.
    """
    if settings.exporter is None:
        # Litestar and FastStream import it wherever it is installed, and use nothing of it here: 0.1 s of each start.
        sys.modules.setdefault("opentelemetry", None)  # type: ignore[arg-type]  # "not to be found" (import system)
        return None
    require_extra(settings)
    from entrypoints.observability.tracing.sdk import Tracing  # noqa: PLC0415

    return Tracing.started(settings, process=process)


def require_extra(settings: TracingSettings) -> None:
    """Return when traces can be made, or nobody asks for them.

    Raises:
        ConfigurationError: the extra `otel` is not installed.
    """
    if settings.exporter is None or all(map(_is_installed, _EXTRA)):
        return
    name = "OTEL_TRACES_EXPORTER" if settings.otel_traces_exporter else "OTEL_EXPORTER_OTLP_ENDPOINT"
    raise ConfigurationError([ConfigProblem(name, "set, and the extra `otel` of this package is not installed")])


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False
