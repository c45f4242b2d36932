"""Spans of events on their way to Kafka, in the traces they were stored in."""

import time
from collections.abc import Mapping, Sequence

from attrs import frozen
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from application.relay.messages import DeliveryResults, Pending
from application.relay.ports import Publisher
from entrypoints.observability.tracing.context import context_of, is_sampled


@frozen
class TracedPublisher:
    """`Publisher`, with two spans an event: in the outbox, and its sending. A consumer's is their sibling."""

    publisher: Publisher
    topics: Mapping[str, str]
    tracer: Tracer

    async def publish(self, batch: Sequence[Pending]) -> DeliveryResults:
        sent = time.time_ns()
        deliveries = await self.publisher.publish(batch)
        ended = time.time_ns()
        arrived = {item.id for item in deliveries.acknowledged}
        failure = deliveries.outage.label if deliveries.outage else "refused"
        for item in batch:
            if is_sampled(item.message.traceparent):
                self._trace(item, sent, ended, None if item.id in arrived else failure)
        return deliveries

    def _trace(self, item: Pending, sent: int, ended: int, failure: str | None) -> None:
        message = item.message
        topic = self.topics.get(message.type, message.type)
        context = context_of(message.traceparent)
        stored = min(int(item.stored_at * 1e9), sent)  # by another machine's clock
        self.tracer.start_span("wait in outbox", context, start_time=stored).end(sent)
        span = self.tracer.start_span(
            f"send {topic}",
            context,
            SpanKind.PRODUCER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": topic,
                "messaging.kafka.message.key": message.key,
                "messaging.message.id": str(message.event_id),
            },
            start_time=sent,
        )
        if failure:
            span.set_attribute("error.type", failure)
            span.set_status(StatusCode.ERROR)
        span.end(ended)
