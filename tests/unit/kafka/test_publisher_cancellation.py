"""aiokafka cancels requests of its own, and lets that out as if somebody had cancelled the caller."""

import asyncio

import pytest

from adapters.kafka.cloudevents import USER_TYPES, encode
from adapters.kafka.publisher import KafkaPublisher
from application.relay.messages import Pending
from domain.sync_user import sync_user
from support.users import snapshot

PENDING = Pending(id=1, lane=0, stored_at=0, message=encode(sync_user(None, snapshot()).events[0]))


class Client:
    """A producer that is asked for the topic's partitions, and fails or waits at that moment."""

    thrown_away = False

    def __init__(self, ends: asyncio.Event | None = None) -> None:
        self.client = self  # of the producer's two layers this is both
        self.ends = ends

    async def partitions_for(self, _) -> set[int]:
        if self.ends is None:
            raise asyncio.CancelledError
        await self.ends.wait()
        return {0}

    async def throw_away(self) -> None:
        self.thrown_away = True


def publisher(client: Client) -> KafkaPublisher:
    made = KafkaPublisher(["127.0.0.1:1"], dict.fromkeys(USER_TYPES, "users"))
    made._producer = client  # type: ignore[assignment]  # it plays the part that `publish` uses
    return made


async def test_a_request_that_the_client_gave_up_is_an_outage_and_the_relay_goes_on():
    client = Client()

    deliveries = await publisher(client).publish([PENDING])

    assert deliveries.outage == "Kafka: out of reach (127.0.0.1:1: connection refused)"
    assert list(deliveries.acknowledged) == []
    assert client.thrown_away


async def test_being_cancelled_ourselves_is_no_outage():
    publishing = asyncio.create_task(publisher(Client(asyncio.Event())).publish([PENDING]))
    await asyncio.sleep(0)
    publishing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await publishing
