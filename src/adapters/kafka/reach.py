"""Why brokers are out of reach: aiokafka says that they are, and keeps the reason for its log."""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from application.trouble import Trouble

CONNECT_MS = 3_000

REFUSALS = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
"""A broker knows us not."""


async def why_out_of_reach(bootstrap_servers: Sequence[str], security: Mapping[str, Any]) -> tuple[Trouble, str] | None:
    """Try each broker, and return what is wrong: a refusal before a silence, as it says more; None when one answers.

    `security` are aiokafka's own options.
    """
    outcomes = await asyncio.gather(*(_try(server, security) for server in bootstrap_servers))
    if None in outcomes:
        return None
    troubles = [outcome for outcome in outcomes if outcome is not None]
    return next((trouble for trouble in troubles if trouble[0] is not Trouble.OUT_OF_REACH), troubles[0])


async def _try(server: str, security: Mapping[str, Any]) -> tuple[Trouble, str] | None:
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_MS / 1000):
            connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=CONNECT_MS, **security)
            # A listener that wants SASL answers the first question of somebody without, and hangs up at the second.
            await connection.send(MetadataRequest([]))
            connection.close()
    except (KafkaError, OSError) as error:
        return _why(error, server, security.get("security_protocol", "PLAINTEXT"))
    return None


def _why(error: Exception, server: str, protocol: str) -> tuple[Trouble, str]:
    kind = type(error).__name__
    if isinstance(error, REFUSALS):
        return Trouble.NOT_AUTHENTICATED, f"{server} does not take KAFKA_SASL_USERNAME and password: {kind}"
    if isinstance(error, ssl.SSLError):
        return Trouble.TLS, f"{server}: {error.reason or kind}"
    match error:
        case socket.gaierror():
            detail = f"no such host: {server}"
        case TimeoutError():
            detail = f"{server} does not answer"
        case KafkaError() | ConnectionResetError() | ConnectionAbortedError():
            detail = f"{server} hangs up on us: does it speak {protocol}? {kind}"
        case OSError():
            detail = f"{server}: {error.strerror or kind}"
        case _:
            detail = kind
    return Trouble.OUT_OF_REACH, detail
