"""aiokafka cancels requests of its own, and lets that out as if somebody had cancelled the caller."""

import asyncio

import pytest

from adapters.kafka.cloudevents import encode
from adapters.kafka.publisher import KafkaPublisher
from application.outbox import Pending
from domain.sync_user import sync_user
from support.users import snapshot

PENDING = Pending(id=1, lane=0, stored_at=0, message=encode(sync_user(None, snapshot()).events[0]))


class Connections:
    closed = False

    async def close(self) -> None:
        self.closed = True


class Client:
    """A producer that is asked for the topic's partitions, and fails or waits at that moment."""

    _sender = None

    def __init__(self, ends: asyncio.Event | None = None) -> None:
        self.client = Connections()
        self.ends = ends

    async def partitions_for(self, _) -> set[int]:
        if self.ends is None:
            raise asyncio.CancelledError
        await self.ends.wait()
        return {0}

    async def stop(self) -> None:
        raise asyncio.CancelledError


def publisher(client: Client) -> KafkaPublisher:
    made = KafkaPublisher(["127.0.0.1:1"], "users")
    made._client = client
    return made


async def test_a_request_that_the_client_gave_up_is_an_outage_and_the_relay_goes_on():
    client = Client()

    deliveries = await publisher(client).publish([PENDING])

    assert deliveries.outage == "the client gave up a request"
    assert list(deliveries.acknowledged) == []
    assert client.client.closed


async def test_being_cancelled_ourselves_is_no_outage():
    publishing = asyncio.create_task(publisher(Client(asyncio.Event())).publish([PENDING]))
    await asyncio.sleep(0)
    publishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await publishing
