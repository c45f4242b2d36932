"""FastStream's broker as a relay uses it: a key and headers for each message, connected anew after a failure."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, NodeNotReadyError, TopicAuthorizationFailedError
from aiokafka.structs import RecordMetadata
from faststream.kafka import KafkaBroker
from faststream.kafka.exceptions import BatchBufferOverflowException
from faststream.kafka.publisher.producer import AioKafkaFastProducerImpl
from faststream.kafka.response import KafkaPublishCommand
from faststream.security import BaseSecurity
from msgspec import Struct

from adapters.kafka.client_tasks import ClientTasks
from adapters.kafka.connectivity import Security, answering
from adapters.kafka.metadata import NOT_AUTHORIZED, Described, TopicMissingError, metadata_of
from anomalyze_auth.kafka.security import broker_options, client_options

BATCH_BYTES = 512 * 1024
"""A partition's part of one request; brokers count a whole batch against `max.message.bytes` (1 MiB by default)."""

LARGEST_BYTES = 64 * 1024 * 1024  # beyond the limit of any topic, which alone decides what is too large

REQUEST_S = 5.0


class Record(Struct, frozen=True, gc=False):
    """A message as it goes into a topic; a type that FastStream publishes."""

    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class RecordProducer(AioKafkaFastProducerImpl):
    """FastStream's producer for batches of `Record`: its own (0.7.8) sends each message's key, and no headers."""

    client: AIOKafkaProducer  # the last one; not set before `RelayBroker.connect`

    async def disconnect(self) -> None:
        if client := getattr(self, "client", None):
            await client.stop()  # FastStream does not stop one that did not start
        await super().disconnect()

    async def publish_batch(self, cmd: KafkaPublishCommand) -> "asyncio.Future[RecordMetadata] | RecordMetadata":
        batch = self.client.create_batch()
        for position, record in enumerate(cmd.batch_bodies):
            if not batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers):
                raise BatchBufferOverflowException(message_position=position)
        arrival: asyncio.Future[RecordMetadata] = await self.client.send_batch(
            batch, cmd.destination, partition=cmd.partition
        )
        return arrival if cmd.no_confirm else await arrival


class RelayBroker(KafkaBroker):
    """`KafkaBroker` with an idempotent producer that can be discarded at any moment and connected again."""

    def __init__(self, bootstrap_servers: Sequence[str], security: BaseSecurity | None = None) -> None:
        super().__init__(bootstrap_servers, **broker_options(security), logger=None)
        self.bootstrap_servers = list(bootstrap_servers)
        self._security = security
        self.outlet = RecordProducer(parser=None, decoder=None)
        self.config.broker_config.producer = self.outlet
        self.client_tasks = ClientTasks()

    @property
    def security_options(self) -> Security:
        """The options of a new client, read each time: a password may have changed."""
        return client_options(self._security)

    @property
    def producer(self) -> AIOKafkaProducer:
        """The producer of aiokafka, for what FastStream does not offer: transactions, and a topic's partitions."""
        return self.outlet.client

    async def start(self) -> None:
        """Do nothing; the first batch calls `connect`, so that a relay starts while Kafka is unreachable."""

    async def connect(self, **options: Any) -> Callable[..., AIOKafkaConsumer]:
        """Connect with aiokafka's `options`; BrokerUnavailableError: no answer, KafkaError, OSError: refused."""
        server = await answering(self.bootstrap_servers, self.security_options)
        try:
            with self.client_tasks.owned():
                # `config.connect` would also open an admin client, which is not used.
                self.outlet.client = AIOKafkaProducer(
                    bootstrap_servers=[server],
                    client_id="auth-service-relay",
                    enable_idempotence=True,
                    acks="all",
                    max_batch_size=BATCH_BYTES,
                    max_request_size=LARGEST_BYTES,
                    request_timeout_ms=int(REQUEST_S * 1000),
                    **self.security_options,
                    **options,
                )
                await self.outlet.connect(self.outlet.client, serializer=None)
        except AssertionError as error:
            # aiokafka 0.14 asserts that it has metadata of a broker; after a timeout it may have none.
            raise NodeNotReadyError("the client knows no broker") from error
        return self.config.broker_config.builder

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Close in about a second, whatever the brokers do; a request in flight may still arrive."""
        await self.client_tasks.cancel()  # first, or aiokafka would wait for all batches
        await self.client_tasks.close(super().stop(exc_type, exc_val, exc_tb))

    async def unusable(self, topics: Collection[str]) -> dict[str, Exception]:
        """Return the topics that cannot be written to, and why."""
        described = await self._described(topics)
        return {
            topic: TopicAuthorizationFailedError(topic) if code == NOT_AUTHORIZED else TopicMissingError(topic)
            for topic in topics
            if (code := described[topic].error_code)
        }

    async def _described(self, topics: Collection[str]) -> Mapping[str, Described]:
        client = self.producer.client
        failure: Exception = NodeNotReadyError("the client knows no broker")
        for broker in client.cluster.brokers():
            try:
                return (await metadata_of(partial(client.send, broker.nodeId), topics)).topics
            except (KafkaError, OSError) as error:  # the metadata may still list a broker that died
                failure = error
        raise failure
