"""Client certificates: what is refused, and what a renewal does to the next connection."""

import asyncio
import logging
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anomalyze_auth.kafka import Credential
from anomalyze_auth.kafka.certificates import CertificateProblem, Validity, check_pair, validity
from anomalyze_auth.kafka.tls import RenewableContext, TlsFiles
from sdktest.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def problem(certificate: Path, key: Path, password: str | None = None, **more) -> str:
    with pytest.raises(CertificateProblem) as caught:
        check_pair(certificate.read_bytes(), key.read_bytes(), password, **more)
    return str(caught.value)


def test_what_a_client_cannot_present_is_refused_by_its_variable(authority: Authority):
    certificate, key = authority.issue("plain")
    _, other_key = authority.issue("other")
    secured, secured_key = authority.issue("secured", password="right")
    gone, gone_key = authority.issue("gone", ends_in=timedelta(seconds=-1))

    assert problem(certificate, other_key).startswith("KAFKA_SSL_KEY_FILE: the key is not that of the first")
    assert problem(certificate, key, "x") == (
        "KAFKA_SSL_KEY_PASSWORD: set, but the key in KAFKA_SSL_KEY_FILE is not encrypted"
    )
    assert (
        problem(secured, secured_key) == "KAFKA_SSL_KEY_PASSWORD: missing; the key in KAFKA_SSL_KEY_FILE is encrypted"
    )
    assert "does not decrypt" in problem(secured, secured_key, "wrong")
    assert "the certificate expired on" in problem(gone, gone_key)
    assert "counts only from" in problem(certificate, key, now=datetime.now(UTC) - timedelta(days=60))
    assert "no private key that can be used" in problem(certificate, certificate)
    assert "no certificate in PEM" in problem(key, key)
    check_pair(certificate.read_bytes(), key.read_bytes(), None)
    check_pair(secured.read_bytes(), secured_key.read_bytes(), "right")


@pytest.mark.parametrize(
    ("days_in_all", "days_left", "ending"),
    [
        (365, 15, False),
        (365, 13, True),
        (365, -1, True),
        (30, 6, False),
        (30, 4, True),
        (1, 0.5, False),
        (1, 0.1, True),
    ],
)
def test_a_certificate_should_have_been_renewed_in_the_last_sixth_of_its_time(days_in_all, days_left, ending):
    now = datetime(2026, 11, 29, tzinfo=UTC)
    ends = now + timedelta(days=days_left)

    assert Validity(ends - timedelta(days=days_in_all), ends).is_ending(now) is ending


def test_the_first_certificate_of_a_chain_says_how_long(authority: Authority):
    certificate, _ = authority.issue("leaf", ends_in=timedelta(days=3))
    chain = certificate.read_bytes() + authority.file.read_bytes()

    assert validity(chain).ends - datetime.now(UTC) < timedelta(days=4)


class Server:
    """Demands a client certificate, and notes whose came."""

    port = 0

    def __init__(self) -> None:
        self.names: list[str] = []


@asynccontextmanager
async def serving(authority: Authority, trusts: Path) -> AsyncIterator[Server]:
    server = Server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=trusts)
    context.load_cert_chain(*authority.issue("server"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = writer.get_extra_info("peercert")["subject"]
        server.names.append(dict(pair for parts in subject for pair in parts)["commonName"])
        writer.write(b"hello")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server


async def connect(context: ssl.SSLContext, server: Server) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    try:
        return await reader.read()
    finally:
        writer.close()


def files(
    folder: Path, authority: Authority, source: tuple[Path, Path], password: Credential | None = None
) -> TlsFiles:
    certificate, key = folder / "current.crt", folder / "current.key"
    shutil.copy(source[0], certificate)
    shutil.copy(source[1], key)
    return TlsFiles(authorities=authority.file, certificate=certificate, key=key, key_password=password)


async def test_a_renewed_certificate_is_presented_by_the_next_connection(tmp_path, authority, caplog):
    caplog.set_level(logging.INFO, "anomalyze_auth")
    current = files(tmp_path, authority, authority.issue("first"))
    context = RenewableContext(current)
    async with serving(authority, authority.file) as server:
        said = [await connect(context, server), await connect(context, server)]
        second = authority.issue("second")
        shutil.copy(second[0], tmp_path / "current.crt")  # not its key yet
        said.append(await connect(context, server))
        said.append(await connect(context, server))
        shutil.copy(second[1], tmp_path / "current.key")
        said.append(await connect(context, server))
        (tmp_path / "current.crt").unlink()
        said.append(await connect(context, server))

    assert said == [b"hello"] * 6
    assert server.names == ["first", "first", "first", "first", "second", "second"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3  # one for each thing that went wrong, and one for the renewal
    assert "the key is not that of the first certificate" in told[0]
    assert "new connections use the new ones" in told[1]
    assert "No such file" in told[2]
    assert str(tmp_path) not in " ".join(told)


async def test_a_renewed_key_may_have_a_new_password(tmp_path, authority):
    (tmp_path / "password").write_text("one")
    password = Credential("one", tmp_path / "password", name="KAFKA_SSL_KEY_PASSWORD")
    current = files(tmp_path, authority, authority.issue("first", password="one"), password)
    context = RenewableContext(current)
    async with serving(authority, authority.file) as server:
        await connect(context, server)
        for source, target in zip(authority.issue("second", password="two"), ["crt", "key"], strict=True):
            shutil.copy(source, tmp_path / f"current.{target}")
        await connect(context, server)
        (tmp_path / "password").write_text("two\n")
        await connect(context, server)

    assert server.names == ["first", "first", "second"]


async def test_an_authority_that_is_replaced_is_trusted_and_the_old_one_no_longer(tmp_path, authority):
    (tmp_path / "new").mkdir()
    new = Authority(tmp_path / "new", "new-ca")
    trusted = tmp_path / "trusted.pem"
    shutil.copy(authority.file, trusted)
    certificate, key = authority.issue("client")
    context = RenewableContext(TlsFiles(authorities=trusted, certificate=certificate, key=key, key_password=None))
    async with serving(authority, authority.file) as old_server, serving(new, authority.file) as new_server:
        assert await connect(context, old_server) == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(context, new_server)
        shutil.copy(new.file, trusted)
        assert await connect(context, new_server) == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(context, old_server)


async def test_a_server_that_is_of_another_name_is_refused(authority):
    context = RenewableContext(TlsFiles(authorities=authority.file, certificate=None, key=None, key_password=None))
    async with serving(authority, authority.file) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="kafka.example.com")


def test_what_a_server_says_of_a_missing_certificate_is_heard(authority):
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    server.load_cert_chain(*authority.issue("server"))
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context = RenewableContext(TlsFiles(authorities=authority.file, certificate=None, key=None, key_password=None))

    def refuse(listener: socket.socket) -> None:  # asyncio's own server would send no alert
        connection, _ = listener.accept()
        with connection, pytest.raises(ssl.SSLError):
            server.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        refusing = pool.submit(refuse, listener)
        alert = context.alert_of("127.0.0.1", listener.getsockname()[1])
        refusing.result()
    assert alert is not None
    assert alert.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert context.alert_of("127.0.0.1", 1) is None


def test_files_that_cannot_be_used_at_first_are_an_error(tmp_path, authority):
    certificate, _ = authority.issue("one")
    _, key = authority.issue("two")

    with pytest.raises(CertificateProblem, match="KAFKA_SSL_KEY_FILE"):
        RenewableContext(TlsFiles(authorities=None, certificate=certificate, key=key, key_password=None))
    with pytest.raises(FileNotFoundError):
        RenewableContext(TlsFiles(authorities=tmp_path / "nowhere", certificate=None, key=None, key_password=None))


def test_a_secret_in_a_file_is_read_again_and_the_last_good_one_is_kept(tmp_path, caplog):
    file = tmp_path / "secret"
    file.write_text("one\n")
    credential = Credential("one", file, name="KAFKA_SASL_PASSWORD")
    read = [credential.read()]
    for content in (b"two\r\n", b"", b"a\nb", b"\xff\xfe\x00", b"three"):
        file.write_bytes(content)
        read += [credential.read(), credential.read()]
    file.unlink()
    read.append(credential.read())

    assert read == ["one", "two", "two", "two", "two", "two", "two", "two", "two", "three", "three", "three"]
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(":")[0] for text in told] == ["KAFKA_SASL_PASSWORD_FILE"] * 4
    assert not [text for text in told if "two" in text or "three" in text]
    assert "three" not in repr(credential)
    assert Credential("fixed").read() == "fixed"
