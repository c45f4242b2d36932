"""One request is one trace, from HTTP to the consumer; and nothing of OpenTelemetry where nobody asks for traces."""

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from faststream.kafka import KafkaBroker
from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from anomalyze_auth.consumer import InMemoryLastSeen, UserEvents
from support.users import USER
from support.web import bearer, created, signed

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER, CLIENT, PRODUCER = 2, 3, 4
ERROR = 2


def tracing(collector, **changes):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50", **changes}


async def until(found, *, within=60):
    """Ask until there is an answer that counts, and return it."""
    async with asyncio.timeout(within):
        while not (answer := found()):
            await asyncio.sleep(0.05)
    return answer


async def deliver(url, body, **headers):
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.post(f"{url}/webhooks/clerk", content=body, headers={**signed(body), **headers})


def complete(spans):
    """Return the spans when all three processes have told of theirs."""
    services = {span.service for span in spans}
    return spans if len(services) == 3 and any(span.kind == SERVER for span in spans) else None


async def stored_traceparents(database_url):
    connection = await asyncpg.connect(database_url)
    try:
        return [row["traceparent"] for row in await connection.fetch("SELECT traceparent FROM outbox")]
    finally:
        await connection.close()


@asynccontextmanager
async def consuming(collector, bootstrap_servers, topic) -> AsyncIterator[list[str]]:
    """Another service, as the SDK's README has it; gives the users it has heard of."""
    provider = TracerProvider(resource=Resource.create({"service.name": "consumer"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces")))
    broker = KafkaBroker(bootstrap_servers, middlewares=[KafkaTelemetryMiddleware(tracer_provider=provider)])
    heard: list[str] = []

    @broker.subscriber(topic, group_id="consumer", auto_offset_reset="earliest")
    @UserEvents(InMemoryLastSeen()).subscriber
    async def on_user(event) -> None:
        heard.append(event.user_id)

    async with broker:
        await broker.start()
        yield heard
    provider.shutdown()


async def test_a_webhook_is_one_trace_through_serve_relay_and_consumer(
    serve, start_relay, collector, database_url, kafka_address, topic
):
    served = serve(DATABASE_URL=database_url, **tracing(collector))
    start_relay(**tracing(collector))

    await deliver(served.url, created(), traceparent=f"00-{TRACE}-{CALLER}-01")
    async with consuming(collector, kafka_address, topic) as heard:
        await until(lambda: heard)
        spans = await until(lambda: complete(collector.of_trace(TRACE)))
    by_name = {(span.service, span.name): span for span in spans}
    parents = {span.name: by_id.name for span in spans for by_id in spans if by_id.span_id == span.parent_id}

    assert heard == [USER]
    assert len(by_name) == len(spans)
    of_serve = {
        "POST /webhooks/clerk": None,
        "receive webhook": "POST /webhooks/clerk",
        "change user": "receive webhook",
        "write batch": "change user",
        "SELECT": "write batch",
        "WITH": "write batch",
    }
    of_relay = {"wait in outbox": "change user", f"send {topic}": "change user"}
    for service, expected in {"auth-service": of_serve, "auth-service-relay": of_relay}.items():
        assert {name for of, name in by_name if of == service} == set(expected)
        assert {name: parents.get(name) for name in expected} == expected
    assert by_name["auth-service", "POST /webhooks/clerk"].parent_id == CALLER
    of_consumer = [span for span in spans if span.service == "consumer"]
    assert {parents[span.name] for span in of_consumer} == {"change user"}
    assert by_name["auth-service-relay", f"send {topic}"].attributes["messaging.kafka.message.key"] == USER
    assert by_name["auth-service", "WITH"].kind == CLIENT
    assert by_name["auth-service-relay", f"send {topic}"].kind == PRODUCER
    assert all(span.status != ERROR for span in spans)


async def test_without_a_caller_a_trace_begins_here_and_a_malformed_one_counts_as_none(serve, collector, database_url):
    served = serve(DATABASE_URL=database_url, **tracing(collector))
    await deliver(served.url, created(), traceparent=f"00-{TRACE.upper()}-{CALLER}-01")
    [root] = await until(lambda: [span for span in collector.spans if span.kind == SERVER])
    [stored] = await stored_traceparents(database_url)
    served.stop()

    assert root.parent_id == ""
    assert root.trace_id != TRACE
    assert stored[3:35] == root.trace_id
    [line] = [json.loads(line) for line in served.log if '"route":"/webhooks/clerk"' in line]
    assert line["trace_id"] == root.trace_id
    assert {span.trace_id for span in collector.spans} == {root.trace_id}  # no poll, no health check has one of its own


async def test_a_batch_that_serves_many_is_linked_with_each(serve, collector, database_url):
    served = serve(DATABASE_URL=database_url, **tracing(collector))
    users = [f"user_{number}" for number in range(40)]
    await asyncio.gather(*(deliver(served.url, created(user)) for user in users))
    served.stop()  # what is left is exported at the end
    spans = {span.span_id: span for span in collector.spans}
    changes = {span.span_id: span for span in spans.values() if span.name == "change user"}
    batches = [span for span in spans.values() if span.name == "write batch"]
    shared = [batch for batch in batches if batch.links]

    assert {change.attributes["user.id"] for change in changes.values()} == set(users)
    assert len({change.trace_id for change in changes.values()}) == len(users)
    assert shared, "requests at the same time share statements"
    assert sum(batch.attributes["auth.batch.size"] for batch in batches) == len(users)
    for batch in batches:
        assert batch.parent_id in changes
        assert len(batch.links) == batch.attributes["auth.batch.size"] - 1
        for linked in batch.links:
            assert batch.span_id in changes[linked].links
    assert {spans[span.parent_id].name for span in spans.values() if span.name == "WITH"} == {"write batch"}


async def test_a_reader_has_its_own_span_and_none_of_anothers_statements(serve, collector, database_url):
    served = serve(DATABASE_URL=database_url, **tracing(collector))
    await deliver(served.url, created())
    async with httpx.AsyncClient() as http:
        answers = await asyncio.gather(
            *(http.get(f"{served.url}/v1/me?token=private", headers=bearer()) for _ in range(10))
        )
    served.stop()
    requests = {span.span_id: span for span in collector.spans if span.name == "GET /v1/me"}
    reads = [span for span in collector.spans if span.name == "read user"]

    assert {answer.status_code for answer in answers} == {200}
    assert sorted(read.parent_id for read in reads) == sorted(requests)
    assert {span.name for span in collector.spans if span.trace_id in {read.trace_id for read in reads}} == {
        "GET /v1/me",
        "read user",
    }


async def test_a_sampler_that_takes_none_is_told_to_the_consumer_too(serve, collector, database_url):
    served = serve(DATABASE_URL=database_url, **tracing(collector, OTEL_TRACES_SAMPLER="always_off"))
    await deliver(served.url, created())
    served.stop()
    [stored] = await stored_traceparents(database_url)

    assert collector.spans == []
    assert int(stored[-2:], 16) & 1 == 0  # the flag "sampled"


@pytest.mark.parametrize("away", ["refuses", "hangs"])
async def test_a_collector_that_is_away_costs_no_request_and_holds_up_no_stop(serve, database_url, away):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if away == "hangs":
            silent.listen(64)  # and never accepts
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        served = serve(DATABASE_URL=database_url, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="50")
        answers = [await deliver(served.url, created(f"user_{number}")) for number in range(5)]
        began = time.monotonic()
        status = served.stop()

    assert [answer.status_code for answer in answers] == [200] * 5
    assert status == 0
    assert time.monotonic() - began < 20, "orchestrators kill after 30 s"


async def test_headers_that_are_no_text_are_no_fault_of_ours(serve, collector):
    served = serve(**tracing(collector))
    request = b"GET /v1/verify?a=%ff HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\\x\r\nConnection: close\r\n\r\n"
    answer = served.exchange(request)

    assert b"401 Unauthorized" in answer


def imported(text):
    lines = [line for line in text.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.fixture
def without_fastapi(tmp_path) -> dict[str, str]:
    """Make it so in a process, as in the production image: FastAPI imports OpenTelemetry, and others FastAPI."""
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "fastapi.py").write_text("raise ImportError('not in the production image')\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}


async def test_no_process_imports_opentelemetry_unless_it_is_asked_for(
    running_serve, start_relay, database_url, without_fastapi
):
    """The other ways not to ask for it are in tests/unit/tracing/test_switch.py."""
    off = {
        **without_fastapi,
        "PYTHONPROFILEIMPORTTIME": "1",  # each import is a line on standard error
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_SDK_DISABLED": "true",
    }
    served, url = running_serve(**off)
    relay = start_relay(**off)
    await deliver(url, created())
    async with asyncio.timeout(60):
        while await stored_traceparents(database_url):
            await asyncio.sleep(0.05)
    served.stop()
    relay.stop()

    for process in (served, relay):
        names = imported(process.text())
        assert "prometheus_client" in names
        # Not the bare name: an attempt that fails has its line too.
        assert names & {"opentelemetry.context", "opentelemetry.trace", "opentelemetry.sdk"} == set()


async def test_it_is_imported_when_it_is_asked_for(running_serve, collector, without_fastapi):
    """The other half of the test above: there it could not be found."""
    served, _ = running_serve(**without_fastapi, PYTHONPROFILEIMPORTTIME="1", **tracing(collector))
    served.stop()

    assert "opentelemetry.sdk.trace" in imported(served.text())
