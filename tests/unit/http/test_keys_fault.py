"""Why signing keys cannot be fetched is told by a type, from real connections that fail."""

import asyncio
import ssl

import httpx
import pytest

from anomalyze_auth import JwksKeys, KeysFault, KeysUnavailable
from application.failure import Cause
from entrypoints.http.recent_failures import CAUSE_OF_KEYS, failure_of
from support.certificates import make_certificates


async def fault_of(keys: JwksKeys) -> KeysFault | None:
    """Return the fault that the error has, and the state too."""
    with pytest.raises(KeysUnavailable) as unavailable:
        await keys.find("ins_1")
    await keys.aclose()
    assert keys.state.last_cause is unavailable.value.cause
    failure = failure_of(unavailable.value)
    assert failure is not None
    assert failure.label == f"signing keys: {CAUSE_OF_KEYS[unavailable.value.cause]}"
    return keys.state.last_cause


async def test_a_certificate_that_nobody_trusts_is_tls(tmp_path):
    make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]

        keys = JwksKeys(f"https://localhost:{port}/jwks", client=lambda: httpx.AsyncClient(trust_env=False))

        assert await fault_of(keys) is KeysFault.TLS


async def test_a_proxy_that_refuses_is_the_proxy():
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 CERTIFICATE_VERIFY_FAILED\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        keys = JwksKeys("https://localhost:1/jwks", client=lambda: httpx.AsyncClient(proxy=proxy, trust_env=False))

        assert await fault_of(keys) is KeysFault.PROXY


async def test_anything_else_is_out_of_reach_whatever_its_text_says():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ProxyError CERTIFICATE_VERIFY_FAILED\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        keys = JwksKeys(f"http://127.0.0.1:{port}/jwks", client=lambda: httpx.AsyncClient(trust_env=False))

        assert await fault_of(keys) is KeysFault.OUT_OF_REACH


def test_each_fault_has_a_word_of_its_own():
    assert CAUSE_OF_KEYS.keys() == set(KeysFault)
    assert set(CAUSE_OF_KEYS.values()) == {Cause.PROXY, Cause.TLS, Cause.OUT_OF_REACH}
