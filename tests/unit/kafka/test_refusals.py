"""The failures of brokers that refuse our credentials."""

import asyncio
import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from aiokafka.conn import AIOKafkaConnection

from adapters.kafka.connectivity import ask
from anomalyze_auth.kafka import KafkaConnection
from anomalyze_auth.kafka.security import client_options
from application.failure import Cause, Failure
from support.authority import Authority, Pair


@contextmanager
def demanding(authority: Authority, version: ssl.TLSVersion) -> Iterator[str]:
    """A TLS server that demands a client certificate, and closes at once when it is not content.

    Kafka's own waits a moment, so that its alert arrives; others' are lost behind the reset of the connection.
    """
    server = authority.issue("server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.load_cert_chain(server.certificate, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.maximum_version = version

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # ssl.SSLError is one
                context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def options(address: str, authority: Authority, pair: Pair | None) -> dict[str, object]:
    files = {"KAFKA_SSL_CERT_FILE": str(pair.certificate), "KAFKA_SSL_KEY_FILE": str(pair.key)} if pair else {}
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": address,
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA_FILE": str(authority.file),
        **files,
    }
    return client_options(KafkaConnection.from_environment(variables).security())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_that_is_missing_or_refused_is_told_however_soon_the_broker_closes(tmp_path, version):
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "other").issue("stranger")
    with demanding(authority, version) as address:
        missing = [await ask(address, options(address, authority, None)) for _ in range(5)]
        refused = [await ask(address, options(address, authority, stranger)) for _ in range(5)]
        hung_up = await ask(address, options(address, authority, authority.issue("ours")))

    for silence in missing:
        assert isinstance(silence, Failure)
        assert silence.cause is Cause.NOT_AUTHENTICATED
        assert "requires a client certificate, and KAFKA_SSL_CERT_FILE is not set" in silence.detail
    for silence in refused:
        assert isinstance(silence, Failure)
        assert f"{address} refuses the client certificate in KAFKA_SSL_CERT_FILE: unknown ca" in silence.detail
    assert isinstance(hung_up, Failure)
    assert "is its security protocol SSL?" in hung_up.detail


async def test_an_alert_leaves_no_connection_to_the_garbage_collector(tmp_path):
    authority = Authority(tmp_path)
    with demanding(authority, ssl.TLSVersion.TLSv1_2) as address:
        gc.collect()
        gc.disable()
        try:
            await ask(address, options(address, authority, None))
            await asyncio.sleep(0.05)
            left = [each for each in gc.get_objects() if isinstance(each, AIOKafkaConnection)]
        finally:
            gc.enable()

    assert left == []
