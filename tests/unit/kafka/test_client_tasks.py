"""A Kafka client that is given up leaves no task behind, and nothing to complain of."""

import asyncio
import gc
import socket
from typing import Any

import pytest
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.errors import NodeNotReadyError, ProducerFenced

from adapters.kafka import broker as broker_module
from adapters.kafka import connectivity
from adapters.kafka.client_tasks import ClientTasks, is_leftover
from adapters.kafka.connectivity import connection_to
from application.failure import Cause, Failure


async def test_what_is_started_while_owned_is_ended_with_all_that_it_starts():
    tasks, forever = ClientTasks(), asyncio.Event()
    started: list[asyncio.Task[Any]] = []

    async def parent() -> None:
        started.append(asyncio.create_task(forever.wait()))
        await forever.wait()

    with tasks.owned():
        started.append(asyncio.create_task(parent()))
    mine = asyncio.create_task(forever.wait())
    await asyncio.sleep(0)

    await tasks.cancel()

    assert [task.cancelled() for task in started] == [True, True]
    assert not mine.done()
    mine.cancel()


async def test_a_stop_that_does_not_come_to_an_end_is_ended(monkeypatch):
    monkeypatch.setattr("adapters.kafka.client_tasks.CLOSE_S", 0.05)
    before = asyncio.all_tasks()

    await ClientTasks().close(asyncio.Event().wait())

    assert asyncio.all_tasks() == before


async def complaints_after(connect: Any, *, within: float) -> list[dict[str, Any]]:
    """Give up many connections to a name that does not resolve, and return what the loop says of them."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    for number in range(20):
        with pytest.raises((socket.gaierror, TimeoutError)):
            async with asyncio.timeout(number / 20_000):
                await connect()
    deadline = asyncio.get_running_loop().time() + within
    while not found and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
        gc.collect()
    return found


async def look() -> None:
    async with connection_to("kafka.invalid:9092", {}):
        pytest.fail("there is no such name")


def test_a_look_up_that_outlasts_its_connection_is_ended_with_it():
    assert uvloop.run(complaints_after(look, within=1)) == []


def test_what_uvloop_says_of_a_look_up_that_aiokafka_gave_up_is_nothing_to_log():
    found = uvloop.run(complaints_after(lambda: create_conn("kafka.invalid", 9092), within=30))

    assert found
    assert all(map(is_leftover, found))


def test_an_error_of_our_own_is_logged_and_one_that_a_client_kept_is_not():
    assert not is_leftover({"message": "Task exception was never retrieved", "exception": ValueError()})
    assert not is_leftover({"message": "Task was destroyed but it is pending!"})
    assert is_leftover({"message": "Future exception was never retrieved", "exception": ProducerFenced()})
    assert is_leftover({"message": "Unclosed AIOKafkaConnection", "conn": object()})


async def test_a_name_that_no_resolver_would_look_up_does_not_resolve():
    with pytest.raises(OSError, match="not a host name"):
        async with connection_to("a..b:9092", {}):
            pytest.fail("there is no such name")


async def test_a_name_server_that_does_not_answer_is_not_taken_for_a_silent_broker(monkeypatch):
    monkeypatch.setattr(connectivity, "LOOK_UP_S", 0.01)

    async def unanswered(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unanswered)
    found = await connectivity.ask("kafka.example.com:9092", {})

    assert isinstance(found, Failure)
    assert found.cause is Cause.NAME_RESOLUTION


async def test_a_client_that_knows_no_broker_any_more_is_an_outage_and_no_bug(monkeypatch):
    async def found(*_: Any) -> str:
        return "127.0.0.1:1"

    async def start(_: AIOKafkaProducer) -> None:
        raise AssertionError("Did we not perform bootstrap?")

    monkeypatch.setattr(broker_module, "answering", found)
    monkeypatch.setattr(AIOKafkaProducer, "start", start)
    broker = broker_module.RelayBroker(["127.0.0.1:1"])

    with pytest.raises(NodeNotReadyError):
        await broker.connect()
    await broker.stop()
