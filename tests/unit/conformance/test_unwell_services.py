"""`auth-service conformance tokens` against what cannot be judged: a clear word, a status, in bounded time."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sdktest.rows import each_row

from devkit.conformance import tokens as token_checks
from devkit.local.keys import new_keys
from entrypoints.cli.main import main
from support.certificates import make_certificates

Talk = Callable[[socket.socket], None]


@contextmanager
def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Let `talk` have each connection, in a thread of its own, until the block ends."""
    connections: list[socket.socket] = []

    def have(connection: socket.socket) -> None:
        with suppress(OSError):
            talk(tls.wrap_socket(connection, server_side=True) if tls else connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connections.append(server.accept()[0])
                threading.Thread(target=have, args=(connections[-1],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()


def answering(head: str, body: bytes = b"") -> Talk:
    def talk(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                connection.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return talk


def hanging(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def hanging_up(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.close()


def endless(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: and so on\n\n")
    hanging(connection)


@pytest.fixture
def ended(tmp_path: Path, capsys, monkeypatch) -> Callable[[str], tuple[object, str]]:
    """Run the command on an address, and return its status and what it says."""
    monkeypatch.setattr(token_checks, "ANSWER_S", 0.3)
    (tmp_path / "key.pem").write_text(new_keys().private_key)

    def run(url: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as stop:
            main(["conformance", "tokens", url, "--key", str(tmp_path / "key.pem")])
        shown = capsys.readouterr()
        assert shown.out == ""
        return stop.value.code, shown.err

    return run


@each_row(
    ("talk", "status", "said"),
    [
        (answering("500 Internal Server Error"), 78, "answers 500 to a plain session token: it is not well"),
        (answering("302 Found\r\nLocation: /login"), 78, "answers 302 to a plain session token, with Location /login"),
        (answering("404 Not Found"), 78, "answers 404 to a plain session token: name a path"),
        (answering("401 Unauthorized"), 78, "it must trust the key"),
        (answering("200 OK\r\nContent-Encoding: gzip", b"no gzip"), 78, "it lets anybody in"),
        (endless, 78, "it lets anybody in"),
        (hanging_up, 78, "ends the connection without an answer"),
        (hanging, 69, "does not answer a plain session token within 0.3 s"),
    ],
)
def test_what_is_wrong_is_told(talk: Talk, status: int, said: str, ended: Callable[[str], tuple[object, str]]):
    with listening(talk) as address:
        found, text = ended(f"http://{address}/")

    assert (found, said in text) == (status, True), text


@each_row(
    "url",
    [
        "",
        "127.0.0.1:3002",
        "localhost",
        "ftp://127.0.0.1/",
        "http://",
        "http:///v1/verify",
        "http://[::1",
        "http://a..b/",
        "http://127.0.0.1:99999/",
        "http://u:secret@127.0.0.1/",
    ],
)
def test_what_is_no_address_is_wrong_usage(url: str, ended: Callable[[str], tuple[object, str]]):
    status, text = ended(url)

    assert (status, text.startswith("URL: ")) == (2, True), text
    assert "secret" not in text


def test_https_on_a_port_without_it_is_out_of_reach(ended: Callable[[str], tuple[object, str]]):
    with listening(answering("200 OK")) as address:
        status, text = ended(f"https://{address}/")

    assert status == 69
    assert "cannot be reached" in text


def test_an_authority_that_is_not_known_is_told_and_may_be_named(
    tmp_path: Path, ended: Callable[[str], tuple[object, str]], monkeypatch
):
    make_certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with listening(answering("401 Unauthorized"), tls) as address:
        url = f"https://localhost:{address.partition(':')[2]}/"
        unknown = ended(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        known = ended(url)

    assert unknown[0] == 69
    assert "CERTIFICATE_VERIFY_FAILED" in unknown[1]
    assert "SSL_CERT_FILE" in unknown[1]
    assert (known[0], "answers 401" in known[1]) == (78, True), known


@each_row(
    ("rest", "said"),
    [
        (None, "did not answer 5 requests within 0.3 s each"),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", "answers 503 with Retry-After again and"),
    ],
)
def test_a_service_that_stops_answering_is_left_alone_soon(
    rest: bytes | None, said: str, ended: Callable[[str], tuple[object, str]], monkeypatch
):
    monkeypatch.setattr(token_checks, "_WAITS_S", 0.5)
    asked: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            asked.append(request)
            if len(asked) > 2:
                connection.sendall(rest or b"")
            else:
                word = b"200 OK" if b"authorization" in request.lower() else b"401 Unauthorized"
                connection.sendall(b"HTTP/1.1 " + word + b"\r\nContent-Length: 0\r\n\r\n")

    with listening(talk) as address:
        status, text = ended(f"http://{address}/")

    assert (status, said in text) == (78, True), text
    assert len(asked) < 12
