"""Connections to brokers, opened and closed so that none of them leaves a task or an error behind."""

import asyncio
import socket
from typing import Any

import aiokafka.client
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn

CLOSE_S = 1.0
"""How long a connection may take to close by itself: a broker that does not read would hold it up for ever."""


async def open_connection(host: str, port: int, **options: Any) -> AIOKafkaConnection:
    """Connect as `aiokafka.conn.create_conn` does, which it stands in for everywhere in this process.

    Raises:
        KafkaError, OSError: no connection was made; `socket.gaierror` when the name does not resolve.
    """
    # uvloop goes on with a look-up whose connection is given up, and then complains that nobody took its error. So the
    # name is looked up here first, where giving up ends it.
    async with asyncio.timeout(options["request_timeout_ms"] / 1000):
        try:
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:  # a label that is empty or too long
            raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    connection = await create_conn(host, port, **options)
    if options.get("on_close") is None:
        _close_when_given_up(connection)
    return connection


# The only place where aiokafka's client opens one.
aiokafka.client.create_conn = open_connection


async def close_client(client: AIOKafkaClient) -> None:
    """Close all connections of a client, in about `CLOSE_S`, whatever the brokers do."""
    connections = list(client._conns.values())  # noqa: SLF001
    writers = [connection._writer for connection in connections if connection._writer]  # noqa: SLF001
    closing = asyncio.create_task(client.close())
    await asyncio.wait({closing}, timeout=CLOSE_S)
    for writer in writers:
        writer.transport.abort()  # without effect on one that is closed
    if not closing.done():
        await asyncio.wait({closing}, timeout=CLOSE_S)
        closing.cancel()
    elif not closing.cancelled():
        closing.exception()  # of its metadata task, which is of no more interest


def _close_when_given_up(connection: AIOKafkaConnection) -> None:
    """Close the connection when its first request is cancelled: `AIOKafkaClient.bootstrap` would just lose it."""
    send = connection.send

    async def send_or_close(*arguments: Any, **options: Any) -> Any:
        try:
            return await send(*arguments, **options)
        except asyncio.CancelledError:
            connection.close()
            raise

    connection.send = send_or_close
