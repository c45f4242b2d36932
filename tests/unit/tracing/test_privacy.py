import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from entrypoints.observability.tracing.privacy import OnlyAllowed

PRIVATE = "ada@lovelace.example"


@pytest.fixture
def exported():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exported):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OnlyAllowed(exported)))
    yield provider.get_tracer("test")
    provider.shutdown()


def test_attributes_that_nobody_allowed_do_not_leave(tracer, exported):
    allowed = {"http.route": "/v1/me", "user.id": "user_1"}
    private = {"url.query": PRIVATE, "client.address": "203.0.113.7", "db.statement.parameters": PRIVATE}
    tracer.start_span("GET /v1/me", attributes={**allowed, **private}).end()
    [span] = exported.get_finished_spans()

    assert dict(span.attributes) == allowed


def test_an_errors_text_does_not_leave(tracer, exported):
    with pytest.raises(ValueError, match="ada"), tracer.start_as_current_span("INSERT"):
        raise ValueError(f"Failing row contains ({PRIVATE})")
    [span] = exported.get_finished_spans()

    assert PRIVATE not in span.to_json()
    assert span.status.status_code is StatusCode.ERROR
    assert [dict(event.attributes) for event in span.events] == [{"exception.type": "ValueError"}]


def test_what_identifies_a_span_stays(tracer, exported):
    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner"):
        pass
    inner, _ = exported.get_finished_spans()

    assert inner.parent.span_id == outer.get_span_context().span_id
    assert inner.instrumentation_scope.name == "test"
    assert inner.start_time <= inner.end_time
