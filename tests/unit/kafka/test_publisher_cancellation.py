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
    """A producer at the moment when one of its own requests was cancelled."""

    _sender = None

    def __init__(self) -> None:
        self.client = Connections()

    async def stop(self) -> None:
        raise asyncio.CancelledError


class Sending:
    def __init__(self, ends: asyncio.Event | None = None) -> None:
        self.ends = ends

    async def publish(self, _) -> None:
        if self.ends is None:
            raise asyncio.CancelledError
        await self.ends.wait()


def publisher(sending: Sending) -> tuple[KafkaPublisher, Client]:
    made, client = KafkaPublisher(["127.0.0.1:1"], "users"), Client()
    made._client, made._producer = client, sending
    return made, client


async def test_a_request_that_the_client_gave_up_is_an_outage_and_the_relay_goes_on():
    made, client = publisher(Sending())

    deliveries = await made.publish([PENDING])

    assert deliveries.outage == "the client gave up a request"
    assert list(deliveries.acknowledged) == []
    assert client.client.closed


async def test_being_cancelled_ourselves_is_no_outage():
    made, _ = publisher(Sending(asyncio.Event()))
    publishing = asyncio.create_task(made.publish([PENDING]))
    await asyncio.sleep(0)
    publishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await publishing
