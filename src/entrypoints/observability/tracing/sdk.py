"""OpenTelemetry's SDK, set up by its standard variables, and every place of this service that makes spans."""

import os
from collections.abc import Sequence
from threading import Thread

from attrs import fields, frozen
from litestar.types import ASGIApp
from opentelemetry.context import Context
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from entrypoints.composition import Container
from entrypoints.config.secret import Secret
from entrypoints.config.settings import TracesExporter, TracingSettings
from entrypoints.observability.tracing.privacy import OnlyAllowed
from entrypoints.observability.tracing.relaying import trace_relay
from entrypoints.observability.tracing.requests import TracedRequests
from entrypoints.observability.tracing.serving import trace_serving

FLUSH_S = 5.0
"""How long a process that ends waits for its last spans to be taken; a collector may be away."""


class Requested(Sampler):
    """Leaves out statements that belong to no request: polls, notifications, health checks."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(  # noqa: PLR0913, PLR0917  # the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if kind is SpanKind.CLIENT and not get_current_span(parent_context).get_span_context().is_valid:
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"Requested({self._sampler.get_description()})"


@frozen
class Tracing:
    """A process's traces."""

    _provider: TracerProvider

    @classmethod
    def started(cls, settings: TracingSettings, *, process: str) -> "Tracing":
        """Start to export; the SDK reads the rest of its variables by itself."""
        _let_the_sdk_read(settings)
        name = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": process}
        provider = TracerProvider(resource=Resource.create(name), shutdown_on_exit=False)
        provider.sampler = Requested(provider.sampler)
        provider.add_span_processor(BatchSpanProcessor(OnlyAllowed(_exporter(settings))))
        return cls(provider)

    def serving(self, container: Container) -> None:
        """Trace what a request causes; before anything of the container is made."""
        AsyncPGInstrumentor().instrument(tracer_provider=self._provider)  # type: ignore[no-untyped-call]  # it has none
        trace_serving(container, self._provider.get_tracer("auth-service"))

    def requests(self, app: ASGIApp) -> ASGIApp:
        """Trace each request to the application."""
        return TracedRequests(app, self._provider.get_tracer("auth-service"), self.end)

    def relaying(self, container: Container, topic: str) -> None:
        """Trace what becomes of events that were stored in a trace; before anything of the container is made."""
        trace_relay(container, self._provider.get_tracer("auth-service"), topic)

    def end(self) -> None:
        """Export what there is, in bounded time."""
        # The SDK's own bound is 30 s, and an executor's thread would be waited for at the end of the process.
        flushing = Thread(target=self._provider.shutdown, name="traces-flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_S)


def _let_the_sdk_read(settings: TracingSettings) -> None:
    """Put into the environment what may have come from `.env` or a file."""
    for field in fields(type(settings)):
        value = getattr(settings, field.name)
        if value is not None:
            text = value.get_secret_value() if isinstance(value, Secret) else str(value)
            os.environ[field.name.upper()] = text
    # Names of attributes have changed; these are the lasting ones.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")


def _exporter(settings: TracingSettings) -> SpanExporter:
    if settings.exporter is TracesExporter.CONSOLE:
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # 0.1 s

    return OTLPSpanExporter()
