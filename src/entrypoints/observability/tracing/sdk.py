"""OpenTelemetry's SDK, set up by its standard variables, and every place of this service that makes spans."""

import os
from collections.abc import Sequence
from functools import partial
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

from entrypoints.config.secret import Secret
from entrypoints.config.settings import TracesExporter, TracingSettings
from entrypoints.observability.tracing import Tracing, serving
from entrypoints.observability.tracing.privacy import OnlyAllowed
from entrypoints.observability.tracing.relaying import TracedPublisher
from entrypoints.observability.tracing.requests import TracedRequests

FLUSH_S = 5.0  # how long a process that ends waits for its last spans to be taken; a collector may be away


@frozen
class Requested(Sampler):
    """Leaves out statements that belong to no request: polls, notifications, health checks."""

    sampler: Sampler

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
        return self.sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"Requested({self.sampler.get_description()})"


def started(settings: TracingSettings, *, process: str) -> Tracing:
    """Start to export spans, and return what makes them; the SDK reads the rest of its variables by itself."""
    _let_the_sdk_read(settings)
    name = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": process}
    provider = TracerProvider(resource=Resource.create(name), shutdown_on_exit=False)
    provider.sampler = Requested(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(OnlyAllowed(_exporter(settings))))
    tracer = provider.get_tracer("auth-service")
    changes = serving.Changes(tracer)

    def requests(app: ASGIApp) -> ASGIApp:
        AsyncPGInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]  # it has none
        return TracedRequests(app, tracer)

    def end() -> None:
        # The SDK's own bound is 30 s, and an executor's thread would be waited for at the end of the process.
        flushing = Thread(target=provider.shutdown, name="traces-flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_S)

    return Tracing(
        requests=requests,
        receive_webhook=partial(serving.TracedReceiving, tracer=tracer),
        just_in_time=partial(serving.TracedObtaining, tracer=tracer),
        user_reader=partial(serving.TracedReader, tracer=tracer),
        user_store=partial(serving.TracedStore, changes=changes),
        batch=changes.batch,
        publisher=partial(TracedPublisher, tracer=tracer),
        end=end,
    )


def _let_the_sdk_read(settings: TracingSettings) -> None:
    """Put into the environment what may have come from `.env` or a file."""
    for variable in fields(type(settings)):
        value = getattr(settings, variable.name)
        if value is not None:
            text = value.get_secret_value() if isinstance(value, Secret) else str(value)
            os.environ[variable.name.upper()] = text
    # Names of attributes have changed; these are the lasting ones.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")


def _exporter(settings: TracingSettings) -> SpanExporter:
    if settings.exporter is TracesExporter.CONSOLE:
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # 0.1 s

    return OTLPSpanExporter()
