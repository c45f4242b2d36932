"""The worst paths over real sockets, to real servers, which no client library has tidied up."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sdktest.path_apps import PATH_APPS
from sdktest.rows import each_row
from sdktest.scopes import as_granian, as_uvicorn
from sdktest.serving import served, served_by_granian
from sdktest.wire_app import wire_app

Ask = Callable[[str, str], tuple[int, bytes]]


@pytest.fixture(scope="module", params=["", "/api"], ids=["", "below /api"])
def root(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ask(server: str, root: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    folder: Path = tmp_path_factory.mktemp("static")
    if server == "uvicorn":
        running = served(wire_app(folder), root_path=root)
    else:
        running = served_by_granian("sdktest.wire_app:app", root, WIRE_FOLDER=str(folder))
    with running as origin:
        address = ("127.0.0.1", urlsplit(origin).port)

        def ask(host: str, target: str) -> tuple[int, bytes]:
            with socket.create_connection(address, timeout=30) as connection:
                head = f"GET {target} HTTP/1.1\r\nHost: {host}.test\r\nConnection: close\r\n\r\n"
                connection.sendall(head.encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            start, _, body = answer.partition(b"\r\n\r\n")
            return int(start.split(b" ")[1]), body

        yield ask


@each_row(
    "target",
    [
        "/a",
        "/a%0A",
        "/a/../b",
        "/a/%2e%2e/b",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "//a",
        "/a%00",
        "/%C0%AE",
        "/%FF",
        "/a%252fb",
        "/a;b",
        "/a%3Fb?c",
        "/a#b",
        "/%zz",
        "/%",
        "/api/a",
        "/%EF%BC%8F",
        "/%E2%80%A8",
        "*",
    ],
)
def test_the_scopes_of_the_other_tests_are_those_of_the_servers(ask: Ask, server: str, root: str, target: str):
    expected = {"uvicorn": as_uvicorn, "granian": as_granian}[server](target, root)
    _, body = ask("shown", target)
    body = body[body.index(b"{") : body.rindex(b"}") + 1]

    assert json.loads(body) == {**expected, "raw_path": expected["raw_path"].decode("latin-1")}


@each_row("framework", list(PATH_APPS))
@each_row(
    "target",
    [
        "/admin",
        "/admin/",
        "/admin%0A",
        "/admin%0a/x",
        "/admin%00",
        "//admin",
        "/%61dmin",
        "/%2561dmin",
        "/admin%2Fx",
        "/ADMIN",
        "/admin;v=1",
        "/admin;v=1/x",
        "/admin\\x",
        "/admin%5Cx",
        "/admin%3F",
        "/admin%23/x",
        "/./admin",
        "/x/../admin",
        "/static/private/b.txt",
        "/static/public/../private/b.txt",
        "/static/public/%2e%2e/private/b.txt",
        "/static/public/..%2fprivate/b.txt",
        "/static//private/b.txt",
        "/static/%2e/private/b.txt",
        "/static%2Fprivate%2Fb.txt",
        "/static/public/%252e%252e/private/b.txt",
        "/static/public/..%5cprivate/b.txt",
        "/static/private%2fb.txt",
        "/static/public/%C0%AE%C0%AE/private/b.txt",
        "/static/public/..;/private/b.txt",
        "/static/Private/b.txt",
        "/mnt/health",
        "/mnt//health",
        "/mnt/../health",
        "/mnt%2Fhealth",
        "//mnt/health",
        "http://app.test/admin",
        "http://app.test//admin",
        "/apiadmin/../admin",
        "/x%EF%BC%8F../admin",
    ],
)
def test_no_spelling_of_a_protected_path_gets_in_without_a_token(ask: Ask, framework: str, target: str):
    status, body = ask(framework, target)

    assert 400 <= status < 500, body


@each_row("framework", list(PATH_APPS))
@each_row("target", ["admin", "admin/x", "mnt/health", "static/private/b.txt", "*", "?x", "app.test:80"])
def test_a_target_that_is_no_path_reaches_no_protected_route(ask: Ask, framework: str, target: str):
    _, body = ask(framework, target)

    assert not [protected for protected in (b"/admin", b"/mnt", b"/static") if protected in body]


@each_row("framework", list(PATH_APPS))
@each_row(
    ("target", "ran"),
    [
        ("/health", "/health"),
        ("/files/a%20b/c%2Fd", "/files/a b/c/d"),
        ("/static/public/a.txt", "/static/public/a.txt"),
    ],
)
def test_public_paths_are_answered_as_ever(ask: Ask, server: str, root: str, framework: str, target: str, ran: str):
    status, body = ask(framework, target)

    if root and server == "granian" and framework == "quart":
        assert status == 400  # Quart wants the root path repeated, as the specification does, and Granian does not
    elif root and server == "granian" and framework != "litestar" and target.startswith("/static"):
        assert status == 404  # the same with a mount of Starlette
    else:
        assert (status, ran.encode() in body) == (200, True)
