"""A way out that leads through an HTTP proxy: real CONNECT, real TLS, and behind it a server of the test's."""

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAMES = ("api.clerk.test", "clerk.example.com")
"""Names that nobody but the proxy resolves."""

USER, PASSWORD = "egress", "p@ss/word"


@define(eq=False)
class Egress:
    """A proxy on loopback; whatever it is asked for, it connects to the one server behind it."""

    port: int = 0
    credentials: bool = True
    """Ask for `USER` and `PASSWORD`, and answer 407 without them."""
    refuses: int | None = None
    """Answer every CONNECT with this status."""
    asked: list[str] = field(factory=list)
    """Targets, `host:port`, of every request."""
    certificates: Path = Path()
    """The authority that clients must trust: SSL_CERT_FILE."""

    @property
    def url(self) -> str:
        return f"http://{USER}:p%40ss%2Fword@127.0.0.1:{self.port}"

    def admits(self, head: bytes) -> int:
        expected = b"basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).lower()
        given = [line for line in head.split(b"\r\n") if line.lower().startswith(b"proxy-authorization:")]
        if self.credentials and not any(line.lower().endswith(expected) for line in given):
            return 407
        return self.refuses or (200 if head.startswith(b"CONNECT ") else 405)


@contextmanager
def egress(folder: Path, target: int) -> Iterator[Egress]:
    """Run the proxy, and TLS in front of the server on loopback's port `target`."""
    found = Egress(certificates=folder / "authority.pem")
    key_file = folder / "server.pem"
    authority, server = _certificates()
    found.certificates.write_bytes(authority)
    key_file.write_bytes(server)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(key_file)
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def run() -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _join(reader, writer, target)

        inner = await asyncio.start_server(plain, "127.0.0.1", 0, ssl=tls)
        inner_port = inner.sockets[0].getsockname()[1]

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                head = await reader.readuntil(b"\r\n\r\n")
                found.asked.append(head.split(b" ", 2)[1].decode())
                status = found.admits(head)
                writer.write(f"HTTP/1.1 {status} said by the proxy\r\ncontent-length: 0\r\n\r\n".encode())
                if status == 200:
                    await _join(reader, writer, inner_port)
            writer.close()

        outer = await asyncio.start_server(proxy, "127.0.0.1", 0)
        found.port = outer.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        for one in (outer, inner):
            one.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(60)
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        with contextlib.suppress(RuntimeError):
            loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while chunk := await source.read(65536):
                sink.write(chunk)
                await sink.drain()
        sink.close()

    try:
        await asyncio.gather(carry(reader, there_writer), carry(there_reader, writer))
    finally:
        writer.close()
        there_writer.close()


@cache
def _certificates() -> tuple[bytes, bytes]:
    """Return an authority's certificate, and a key with a certificate for `NAMES` that it signed, in PEM."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)

    def unsigned(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )

    usage = {
        name: name in ("key_cert_sign", "crl_sign", "digital_signature")
        for name in (
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        )
    }
    authority = (
        unsigned(issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        unsigned(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAMES[0])]), key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return authority.public_bytes(Encoding.PEM), private + server.public_bytes(Encoding.PEM)
