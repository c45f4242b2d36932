"""A producer that can be thrown away at any moment, with all that it has under way."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed, TopicAuthorizationFailedError
from aiokafka.producer.message_accumulator import MessageBatch
from attrs import frozen

from adapters.kafka.connections import CLOSE_S, close_client
from adapters.kafka.connectivity import Security, answering
from adapters.kafka.metadata import NOT_AUTHORIZED, TopicMissingError, describe

BATCH_BYTES = 512 * 1024
"""A partition's share of one request; brokers count a whole batch against `max.message.bytes` (1 MiB by default)."""

LARGEST_BYTES = 64 * 1024 * 1024
"""No limit of ours on a message: how large is too large is the topic's to say."""

REQUEST_S = 5.0


@frozen
class Producer:
    """aiokafka's producer, and what its sender has under way."""

    client: AIOKafkaProducer
    _requests: "set[asyncio.Task[Any]]"

    @classmethod
    async def make(cls, bootstrap_servers: Sequence[str], security: Security, **options: Any) -> "Producer":
        """Make a producer on a broker that answers; it is still to be started.

        Raises:
            BrokerUnavailableError: none does, and why.
        """
        client = AIOKafkaProducer(
            bootstrap_servers=[await answering(bootstrap_servers, security)],
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            max_request_size=LARGEST_BYTES,
            request_timeout_ms=int(REQUEST_S * 1000),
            **security,
            **options,
        )
        _retrieve_failures(client)
        return cls(client, _remember_requests(client))

    async def start(self, *topics: str) -> None:
        """Connect, and look the topics up among all: asked for by its name, a broker might create one.

        Raises:
            KafkaError, OSError: the brokers do not let us.
            TopicMissingError: it does not exist.
            TopicAuthorizationFailedError: we may not know whether it does.
        """
        await self.client.start()
        found = (await self.client.client.fetch_all_metadata()).topics()
        for topic in topics:
            if topic not in found:
                _, described = await describe(self.client.client, [topic])
                hidden = described[topic].error_code == NOT_AUTHORIZED
                raise TopicAuthorizationFailedError if hidden else TopicMissingError(topic)

    async def throw_away(self) -> None:
        """Close it in about a second, whatever the brokers do. What is under way may still arrive.

        aiokafka's own `stop` waits for all batches, and leaves a task behind when it is given up.
        """
        client, sender = self.client, self.client._sender  # noqa: SLF001
        client._closed = True  # noqa: SLF001  # or it complains that nobody called `stop`
        tasks = [task for task in (*self._requests, sender.sender_task) if task]
        for task in tasks:
            task.cancel()
        accumulator = client._message_accumulator  # noqa: SLF001
        accumulator._closed = True  # noqa: SLF001
        for partition in list(accumulator._batches):  # noqa: SLF001
            fail(accumulator._batches.pop(partition), ProducerClosed())  # noqa: SLF001
        for batch in list(accumulator._pending_batches):  # noqa: SLF001
            batch.failure(ProducerClosed())
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)
        await close_client(client.client)
        ended = client._txn_manager._transaction_waiter  # noqa: SLF001
        if ended is not None:
            _retrieve(ended)


def fail(batches: Sequence[MessageBatch], error: BaseException) -> None:
    """Fail batches that were not sent."""
    for batch in batches:
        batch.drain_ready()
        _retrieve(batch._drain_waiter)  # noqa: SLF001  # a sender that died left an error that nobody asks for
        batch.failure(error)


class _Pending(set[MessageBatch]):
    """Batches under way. aiokafka takes one that is to be sent again out, and once more when it then fails unsent."""

    def remove(self, batch: MessageBatch) -> None:
        self.discard(batch)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Take the error out of a future, if it has one: asyncio complains about each that nobody took."""
    if future.done() and not future.cancelled():
        future.exception()


def _retrieve_failures(client: AIOKafkaProducer) -> None:
    """Let no batch complain of its failure when whoever waited for it has given up."""
    accumulator = client._message_accumulator  # noqa: SLF001
    append, fail_all = accumulator._append_batch, accumulator.fail_all  # noqa: SLF001

    def append_quietly(*arguments: Any) -> MessageBatch:
        batch = append(*arguments)
        batch.future.add_done_callback(_retrieve)
        return batch

    def fail_all_quietly(error: BaseException) -> None:
        fail_all(error)
        for batches in accumulator._batches.values():  # noqa: SLF001
            for batch in batches:
                _retrieve(batch._drain_waiter)  # noqa: SLF001

    accumulator._append_batch, accumulator.fail_all = append_quietly, fail_all_quietly  # noqa: SLF001
    accumulator._pending_batches = _Pending()  # noqa: SLF001


def _remember_requests(client: AIOKafkaProducer) -> "set[asyncio.Task[Any]]":
    """Return what the producer's sender has under way, kept current: aiokafka itself would wait for it, or for ever."""
    sender = client._sender  # noqa: SLF001
    under_way: set[asyncio.Task[Any]] = set()

    def ended(task: "asyncio.Task[Any]") -> None:
        under_way.discard(task)
        _retrieve(task)

    def registered(request: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def register(*arguments: Any) -> Any:
            task = asyncio.current_task()
            assert task  # noqa: S101  # the sender makes one for each request
            under_way.add(task)
            task.add_done_callback(ended)
            return await request(*arguments)

        return register

    for name in ("_send_produce_req", "_do_add_partitions_to_txn", "_do_txn_commit"):
        setattr(sender, name, registered(getattr(sender, name)))
    return under_way
