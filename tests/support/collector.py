"""An OpenTelemetry collector in this process: takes OTLP over HTTP, and keeps every span."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import define, field, frozen
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.http_server import Answer, HttpServer, Request, http_server


@frozen(kw_only=True)
class Span:
    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    """Empty without one."""
    links: tuple[str, ...]
    """Ids of spans, whatever their trace."""
    status: int
    attributes: Mapping[str, Any]
    start: int
    end: int


@define
class Collector:
    server: HttpServer
    raw: list[bytes] = field(factory=list)
    """Every request's body."""

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def spans(self) -> list[Span]:
        return [span for body in list(self.raw) for span in _spans(body)]

    @property
    def text(self) -> str:
        """All that was sent, but the ids: they are random bytes, in which any short word may stand."""
        return "\n".join(map(_without_ids, list(self.raw)))

    def of_trace(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]


@contextmanager
def collector() -> Iterator[Collector]:
    with http_server(lambda _: Answer()) as server:
        found = Collector(server)

        def take(request: Request) -> Answer:
            assert (request.method, request.path) == ("POST", "/v1/traces")
            found.raw.append(request.body)
            return Answer()

        server.answers = take
        yield found


def _without_ids(body: bytes) -> str:
    request = ExportTraceServiceRequest.FromString(body)
    for span in (span for process in request.resource_spans for part in process.scope_spans for span in part.spans):
        for name in ("trace_id", "span_id", "parent_span_id"):
            span.ClearField(name)
        for link in span.links:
            link.ClearField("trace_id")
            link.ClearField("span_id")
    return str(request)


def _spans(body: bytes) -> Iterator[Span]:
    for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _values(of_process.resource.attributes)["service.name"]
        for of_library in of_process.scope_spans:
            for span in of_library.spans:
                yield Span(
                    service=service,
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    links=tuple(link.span_id.hex() for link in span.links),
                    status=span.status.code,
                    attributes=_values(span.attributes),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}
