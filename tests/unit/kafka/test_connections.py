"""Connections that are given up leave no error behind that nobody takes."""

import asyncio
import gc
import socket
from typing import Any

import aiokafka.client
import pytest
import uvloop
from aiokafka.conn import create_conn

from adapters.kafka.connections import open_connection


async def complaints_after(connect: Any, *, within: float) -> list[str]:
    """Give up many connections to a name that does not resolve, and return what the loop says of them."""
    found: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context["message"]))
    for number in range(20):
        with pytest.raises((socket.gaierror, TimeoutError)):
            await connect("kafka.invalid", 9092, request_timeout_ms=number / 20)
    deadline = asyncio.get_running_loop().time() + within
    while not found and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
        gc.collect()
    return found


def test_a_look_up_that_outlasts_its_connection_is_ended_with_it():
    """Of uvloop's own look-up the error would come when nobody waits for it any more."""
    assert uvloop.run(complaints_after(open_connection, within=1)) == []
    assert set(uvloop.run(complaints_after(create_conn, within=30))) == {"Future exception was never retrieved"}


def test_the_client_opens_its_connections_so_too():
    assert aiokafka.client.create_conn is open_connection


async def test_a_name_that_no_resolver_would_look_up_does_not_resolve():
    with pytest.raises(OSError, match="not a host name"):
        await open_connection("a..b", 9092, request_timeout_ms=1000)
