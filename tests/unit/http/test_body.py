"""All unfinished bodies share one budget; where it ends, the oldest is given up."""

import asyncio
from typing import Any

import pytest

from entrypoints.http.middleware.body import (
    BODY_LIMIT_BYTES,
    BYTES_OF_A_REQUEST,
    LARGE_AT_ONCE,
    LARGE_TURN_S,
    PIECE_BYTES,
    SMALL_BYTES,
    SMALL_PIECES,
    AnswerFirst,
    Budget,
    read_body,
)
from entrypoints.http.problems import BODY_SHED, BODY_TOO_SLOW
from support.refusals import refused

SCOPE: Any = {"type": "http", "headers": []}


class Client:
    """Sends what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def send(self, body: bytes, *, more: bool = True) -> None:
        self.messages.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def receive(self):
        return await self.messages.get()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def reading(client: Client, budget: Budget) -> asyncio.Task[bytes]:
    return asyncio.create_task(read_body(SCOPE, client.receive, budget=budget))


async def test_the_oldest_unfinished_body_makes_room_for_the_newest():
    budget = Budget(3 * BYTES_OF_A_REQUEST + 100)
    clients = [Client() for _ in range(3)]
    tasks = [reading(client, budget) for client in clients]
    for client in clients:
        client.send(b"x" * 30)
    await settled()
    clients[2].send(b"y" * 30)
    await settled()

    with refused(BODY_SHED):
        await tasks[0]
    clients[1].send(b"", more=False)
    clients[2].send(b"z", more=False)
    assert [len(body) for body in await asyncio.gather(*tasks[1:])] == [30, 61]
    assert budget._held == 0


async def test_bodies_of_nothing_count_as_the_requests_they_are():
    budget = Budget(10 * BYTES_OF_A_REQUEST)
    clients = [Client() for _ in range(25)]
    tasks = [reading(client, budget) for client in clients]
    await settled()

    assert [task.done() for task in tasks] == [True] * 15 + [False] * 10
    assert {task.exception().problem for task in tasks[:15]} == {BODY_SHED}
    for client in clients:
        client.send(b"", more=False)
    assert await asyncio.gather(*tasks[15:]) == [b""] * 10


async def test_honest_bodies_pass_while_others_hold_all_there_is():
    budget = Budget(8 * BYTES_OF_A_REQUEST)
    slow = [Client() for _ in range(50)]
    tasks = [reading(client, budget) for client in slow]
    for number in range(200):
        slow[number % 50].send(b"x" * 1000)
        honest = Client()
        honest.send(b"{", more=True)
        honest.send(b"}", more=False)
        assert await read_body(SCOPE, honest.receive, budget=budget) == b"{}"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert budget._held == 0


async def test_small_bodies_do_not_wait_for_large_ones_and_a_large_one_waits_for_its_turn():
    budget = Budget(64 * 1024 * 1024)
    stuck = [Client() for _ in range(LARGE_AT_ONCE)]
    tasks = [reading(client, budget) for client in stuck]
    for client in stuck:
        client.send(b"x" * (SMALL_BYTES + 1))
    await settled()
    small, large = Client(), Client()
    small.send(b"x" * SMALL_BYTES)
    small.send(b"x", more=False)
    large.send(b"x" * (SMALL_BYTES + 1))
    large.send(b"x", more=False)

    assert len(await read_body(SCOPE, small.receive, budget=budget)) == SMALL_BYTES + 1
    began = asyncio.get_running_loop().time()
    assert len(await read_body(SCOPE, large.receive, budget=budget)) == SMALL_BYTES + 2
    assert asyncio.get_running_loop().time() - began >= LARGE_TURN_S - 0.1
    with refused(BODY_SHED):
        await tasks[0]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (budget._held, budget._turns._value) == (0, LARGE_AT_ONCE)


async def test_a_body_of_too_many_small_pieces_is_given_up_whatever_time_there_is():
    client = Client()
    for _ in range(2 * SMALL_PIECES):
        client.send(b"x")

    with refused(BODY_TOO_SLOW):
        await read_body(SCOPE, client.receive)
    assert client.messages.qsize() > SMALL_PIECES - 10


async def test_pieces_of_an_ordinary_size_are_never_too_many():
    client = Client()
    for _ in range(BODY_LIMIT_BYTES // PIECE_BYTES - 1):
        client.send(b"x" * PIECE_BYTES)
    client.send(b"", more=False)

    assert len(await read_body(SCOPE, client.receive)) == BODY_LIMIT_BYTES - PIECE_BYTES


async def test_small_pieces_that_nobody_reads_are_not_all_received_either():
    client = Client()
    for _ in range(10 * SMALL_PIECES):
        client.send(b"x")

    assert (await answered(client, (b"transfer-encoding", b"chunked")))[0]
    assert client.messages.qsize() > 7 * SMALL_PIECES


async def test_one_that_alone_exceeds_the_budget_is_given_up():
    client = Client()
    client.send(b"x" * 100)

    with refused(BODY_SHED):
        await read_body(SCOPE, client.receive, budget=Budget(BYTES_OF_A_REQUEST + 50))


async def test_one_whose_time_is_over_and_that_is_given_up_in_the_same_moment_ends_once():
    budget = Budget(BYTES_OF_A_REQUEST + 10)
    first, second = Client(), Client()
    task = asyncio.create_task(read_body(SCOPE, first.receive, budget=budget, seconds=0.0))
    await asyncio.sleep(0)
    later = reading(second, budget)
    second.send(b"a", more=False)

    with refused(BODY_SHED, BODY_TOO_SLOW):
        await task
    assert await later == b"a"
    assert budget._held == 0


def answering(seen: list[str]):
    async def app(scope, receive, send):
        seen.append("asked")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def answered(client: Client, *headers: tuple[bytes, bytes]) -> tuple[bool, float]:
    """Whether the connection is to end, and after how long the answer was sent."""
    began, sent = asyncio.get_running_loop().time(), []

    async def send(message):
        sent.append((message, asyncio.get_running_loop().time() - began))

    scope: Any = {"type": "http", "headers": list(headers)}
    await AnswerFirst(answering([]))(scope, client.receive, send)
    start, after_s = sent[0]
    return (b"connection", b"close") in start["headers"], after_s


async def test_a_body_that_came_along_leaves_the_connection_as_it_is():
    client = Client()
    client.send(b"hello")
    client.send(b"", more=False)

    closes, _ = await answered(client, (b"content-length", b"5"))
    assert not closes


@pytest.mark.parametrize("header", [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")])
async def test_a_body_that_does_not_come_is_not_waited_for_and_ends_the_connection(header):
    closes, after_s = await answered(Client(), header)

    assert closes
    assert after_s < 0.5


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]])
async def test_without_a_body_nothing_is_received(headers):
    closes, _ = await answered(Client(), *headers)

    assert not closes


async def test_a_client_that_expects_100_continue_is_not_asked_for_the_body():
    client = Client()
    client.send(b"hello", more=False)
    closes, _ = await answered(client, (b"content-length", b"5"), (b"expect", b"100-Continue"))

    assert closes
    assert client.messages.qsize() == 1
