"""Express and Fastify behind the package's middleware, beside the Python SDK's: the same requests, the same answers."""

import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from devkit.conformance.consumer_vectors import record
from devkit.conformance.token_vectors import Signer, new_key, public_pem
from integration.conftest import create_topic
from support.typescript_project import NODES, Project

pytestmark = pytest.mark.programs

ISSUER, PARTY, SUFFIX = "https://clerk.example.com", "https://app.example.com", "abcdEF12"
RULES = {
    "/health": "public",
    "/docs/*": "public",
    "/maybe/*": "optional",
    "/caller": "optional",
    "/report": "optional",
    "/admin/*": {"role": "org:admin"},
    "/admin/health": "public",
    "/admin/billing/*": {"permission": "org:billing:read"},
    "/acme/*": {"organization": "org_acme"},
    "/danger": {"inPerson": True, "organization": True},
}
TOLD = ("content-type", "cache-control", "www-authenticate", "retry-after")
ADMIN = {"o": {"id": "org_acme", "rol": "admin", "per": "read", "fpm": "1"}, "fea": "o:billing"}
TOKENS: dict[str, dict[str, Any]] = {
    "good": {},
    "older": {"iat": -9},
    "newer": {"iat": 3, "sub": "user_newer"},
    "admin": ADMIN,
    "member": {"o": {"id": "org_other", "rol": "member"}},
    "impersonated": {**ADMIN, "act": {"sub": "user_support"}},
    "expired": {"exp": -600, "iat": -660},
    "of another party": {"azp": "https://evil.example.com"},
    "pending": {"sts": "pending"},
    "of a revoked session": {"sid": "sess_revoked"},
    "of a banned user": {"sub": "user_banned"},
    "of a deleted user": {"sub": "user_deleted"},
    "of a deleted admin": {**ADMIN, "sub": "user_deleted"},
    "of a user who was unbanned": {"sub": "user_unbanned"},
}
PIECES = (
    *("admin", "admin", "billing", "health", "docs", "maybe", "caller", "report", "acme", "danger", "x", ""),
    *("ADMIN", "Health", "/", "/", "/", "//", ".", "..", "%2e%2e", "%2F", "%5c", "\\", "%00", "%61dmin", "%64ocs"),
    *(
        ";v=1",
        "..;",
        "%3F",
        "%23",
        "%20",
        "%zz",
        "%",
        "%25",
        "%2561dmin",
        "%C3%A9",
        "%ff",
        "%E2%80%A8",
        "?",
        "?x=//",
        "*",
    ),
    *("%EF%BC%8F", "%ef%bd%81dmin", "~", "@", ":id", "+", "http://app.test/", "//admin"),
)


@frozen
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any
    """A JSON document; None where there is none."""

    @property
    def told(self) -> object:
        """What a caller is told, without which route ran."""
        if self.status == 200:
            return {name: value for name, value in (self.body or {}).items() if name != "route"}
        return self.status, {name: self.headers.get(name) for name in TOLD}, self.body


def exchange(port: int, method: str, target: str, headers: Sequence[tuple[str, str]]) -> Answer:
    """Send these bytes: no client library tidies them up."""
    lines = [f"{method} {target} HTTP/1.1", "Host: app.test", "Connection: close", "Content-Length: 0"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers)])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    start, _, body = received.partition(b"\r\n\r\n")
    first, *named = start.decode("latin-1").split("\r\n")
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in named)}
    is_json = "json" in found.get("content-type", "") and body
    return Answer(
        int(first.split(" ")[1]), found, json.loads(body[body.index(b"{") : body.rindex(b"}") + 1]) if is_json else None
    )


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(key=new_key(), kid="ins_1", issuer=ISSUER, party=PARTY, user="user_good")


@pytest.fixture(scope="module")
def tokens(signer: Signer) -> dict[str, str]:
    """By name; of the good ones each lives for an hour."""
    now = time.time()

    def made(who: Signer, claims: Mapping[str, Any]) -> str:
        times = {name: int(now) + claims.get(name, usual) for name, usual in (("exp", 3600), ("iat", 0))}
        return who.session_token(now, **{**claims, **times})

    stranger = Signer(key=new_key(), kid="ins_1", issuer=ISSUER, party=PARTY)
    made_well = {name: made(signer, claims) for name, claims in TOKENS.items()}
    return made_well | {"by a stranger": made(stranger, {}), "garbage": "garbage", "three dots": "a.b.c"}


@pytest.fixture(scope="module")
def topics(kafka_address: str) -> tuple[str, str]:
    """Of sessions and users, with what was revoked in them."""
    names = "middleware-sessions", "middleware-users"

    async def publish() -> None:
        for name in names:
            await create_topic(kafka_address, name)
        rows: list[tuple[str, str, dict[str, Any]]] = [
            (names[0], "user_good", {"event": "revoked"}),
            (names[1], "user_banned", {"event": "updated", "version": 2, "user": {"banned": True}}),
            (names[1], "user_unbanned", {"event": "updated", "version": 2, "user": {"banned": True}}),
            (names[1], "user_unbanned", {"event": "updated", "version": 3}),
            (names[1], "user_deleted", {"event": "deleted", "version": 2}),
        ]
        async with AIOKafkaProducer(bootstrap_servers=kafka_address) as producer:
            for topic, user, row in rows:
                made = record(row, user, "sess_revoked")
                await producer.send_and_wait(topic, made.value, key=made.key, headers=list(made.headers))

    asyncio.run(publish())
    return names


@pytest.fixture(scope="module")
def given_settings(signer: Signer, kafka_address: str, topics: tuple[str, str]) -> str:
    return json.dumps(
        {
            "pem": public_pem(signer.key),
            "issuer": ISSUER,
            "parties": [PARTY],
            "suffix": SUFFIX,
            "rules": RULES,
            "kafka": kafka_address,
            **dict(zip(("sessions", "users"), topics, strict=True)),
        }
    )


@contextmanager
def listening(*command: str, folder: Path | None = None, **variables: str) -> Iterator[int]:
    """Run a program that prints its port as soon as it listens."""
    with subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(scope="module")
def reference(given_settings: str) -> Iterator[int]:
    """The port of a service behind the Python SDK's middleware."""
    script = str(Path(__file__).with_name("reference.py"))
    with listening(sys.executable, script, given_settings, PYTHONPATH=os.pathsep.join(sys.path)) as port:
        yield port


@pytest.fixture(scope="module", params=[*itertools.product(["express", "fastify"], NODES)], ids="-".join)
def service(request: pytest.FixtureRequest, project: Project, given_settings: str) -> Iterator[tuple[str, int]]:
    """The framework, and the port of a service behind the package's middleware."""
    framework, node = request.param
    shutil.copy(Path(__file__).with_name("service.mjs"), project.folder)
    with listening(NODES[node], "service.mjs", framework, given_settings, folder=project.folder) as port:
        yield framework, port


NAMES = st.sampled_from([*TOKENS, "by a stranger", "garbage", "three dots"])
COOKIE_NAMES = st.sampled_from(["__session", f"__session_{SUFFIX}", "__session_other123", "theme"])
COOKIES = st.lists(st.tuples(COOKIE_NAMES, NAMES), min_size=1, max_size=3)
BEARERS = st.tuples(st.sampled_from(["Bearer ", "bearer ", "Bearer  ", "Basic ", "Bearer"]), NAMES)
ORIGINS = st.sampled_from([PARTY, PARTY, "https://evil.example.com", "null", f"{PARTY}/", PARTY.upper()])
CREDENTIALS = st.fixed_dictionaries(
    {},
    optional={"bearer": BEARERS, "cookies": st.lists(COOKIES, min_size=1, max_size=2), "origin": ORIGINS},
)
USUAL = st.sampled_from([path.replace("*", "x") for path in RULES] + ["/", "/me", "/admin", "/docs"])
TARGETS = USUAL | st.lists(st.sampled_from(PIECES), max_size=6).map(lambda pieces: "/" + "".join(pieces))
METHODS = st.sampled_from(["GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS"])


def headers_of(credentials: Mapping[str, Any], tokens: Mapping[str, str]) -> list[tuple[str, str]]:
    headers = []
    if "bearer" in credentials:
        scheme, name = credentials["bearer"]
        headers.append(("Authorization", f"{scheme}{tokens[name]}"))
    headers += [
        ("Cookie", "; ".join(f"{cookie}={tokens[name]}" for cookie, name in cookies))
        for cookies in credentials.get("cookies", ())
    ]
    if "origin" in credentials:
        headers.append(("Origin", credentials["origin"]))
    return headers


@settings(max_examples=400)
@given(method=METHODS, target=TARGETS, credentials=CREDENTIALS)
def test_a_request_is_answered_as_by_the_python_middleware(
    reference: int,
    service: tuple[str, int],
    tokens: dict[str, str],
    method: str,
    target: str,
    credentials: dict[str, Any],
):
    framework, port = service
    headers = headers_of(credentials, tokens)
    expected = exchange(reference, method, target, headers)
    found = exchange(port, method, target, headers)

    if framework == "express" and "%" in target and found.status == 400:
        assert found.body is None or found.body["code"] == "path-ambiguous"  # it routes by what was sent
    elif framework == "fastify" and (found.status, found.headers["content-type"]) == (400, "application/json"):
        assert expected.status == 400  # it answers what it cannot decode itself, before any plugin
    else:
        assert found.told == expected.told
    if found.body and str(found.body.get("route")).startswith("/admin/*"):
        assert (found.body["organization"], found.body["user"]) == ("org_acme", "user_good")
