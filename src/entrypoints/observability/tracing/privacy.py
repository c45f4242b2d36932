"""The attributes that an exported span may have; all others are removed."""

from collections.abc import Sequence

from attrs import frozen
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

# Ids are not personal data here; a path, a query, a header, an address or a text of an error may hold some. PostgreSQL
# quotes rows in its errors, and the instrumentation of asyncpg keeps an error's text and traceback.
ALLOWED = frozenset({
    "auth.batch.size", "auth.cause", "auth.outcome", "db.namespace", "db.query.text", "db.system.name", "error.type",
    "http.request.method", "http.response.status_code", "http.route", "messaging.destination.name",
    "messaging.kafka.message.key", "messaging.message.id", "messaging.operation.name", "messaging.operation.type",
    "messaging.system", "server.address", "server.port", "user.id",
})  # fmt: skip

_OF_AN_EVENT = frozenset({"exception.type"})


@frozen
class OnlyAllowed(SpanExporter):
    """Hands on what an exporter may see; in the exporter's own thread."""

    exporter: SpanExporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.exporter.export([only_allowed(span) for span in spans])

    def shutdown(self) -> None:
        self.exporter.shutdown()


def only_allowed(span: ReadableSpan) -> ReadableSpan:
    """Return the span with the allowed attributes alone, and without texts of errors."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: value for name, value in (span.attributes or {}).items() if name in ALLOWED},
        events=[_event(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _event(event: Event) -> Event:
    kept = {name: value for name, value in (event.attributes or {}).items() if name in _OF_AN_EVENT}
    return Event(event.name, kept, event.timestamp)
