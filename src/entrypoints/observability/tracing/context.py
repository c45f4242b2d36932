"""From our own `traceparent` to OpenTelemetry's context, and back."""

from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()


def context_of(traceparent: str | None) -> Context:
    """Return the context below which a span is that one's child; an empty one without it."""
    return _propagator.extract({"traceparent": traceparent} if traceparent else {}, Context())


def span_of(traceparent: str) -> Span:
    """Return the span that it names, for a link."""
    return get_current_span(context_of(traceparent))


def traceparent_of(span: Span) -> str:
    """Name the span (W3C Trace Context, section 3.2)."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def is_sampled(traceparent: str | None) -> bool:
    return traceparent is not None and bool(int(traceparent[-2:], 16) & 1)
