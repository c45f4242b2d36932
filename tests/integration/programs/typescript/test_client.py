"""The typed client, from the package as it is published, against `auth-service serve` on a real PostgreSQL."""

import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrypoints.config.service_keys import new_service_key
from support.clerk_stand_in import RunningStandIn
from support.http_process import Served, start, wait_until_it_answers
from support.typescript_project import NODES, Project, run
from support.web import token

pytestmark = pytest.mark.programs

KEY, CONFIGURED = new_service_key("billing")


@pytest.fixture
def served(clerk_stand_in: RunningStandIn, database_url: str) -> Iterator[Served]:
    variables: dict[str, Any] = {**clerk_stand_in.environment, "AUTH_SERVICE_KEYS": str(CONFIGURED)}
    served = start("--workers=1", DATABASE_URL=database_url, **variables)
    wait_until_it_answers(served)
    yield served
    if served.process.poll() is None:
        served.stop()


def readme(project: Project, url: str, session_token: str, node: str = "node") -> str:
    """Run the README's program, and return what it prints."""
    return run([node, "client.js"], project.folder, AUTH_SERVICE_URL=url, SESSION_TOKEN=session_token).strip()


def called(project: Project, url: str, credential: str, *calls: list[Any], node: str = "node") -> list[dict[str, Any]]:
    shutil.copy(Path(__file__).with_name("calls.mjs"), project.folder)
    shown = run([node, "calls.mjs", url, credential, json.dumps(calls)], project.folder)
    return [json.loads(line) for line in shown.splitlines()]


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
def test_the_documented_program_tells_every_kind_of_caller_apart(
    node: str, project: Project, served: Served, clerk_stand_in: RunningStandIn
):
    clerk_stand_in.instance.create("user_ada", first_name="Ada")
    first = readme(project, served.url, token("user_ada"), node)
    expired = readme(project, f"{served.url}/", token("user_ada", exp=1), node)
    missing = readme(project, served.url, "", node)
    unknown = readme(project, served.url, token("user_nobody"), node)
    called(project, served.url, KEY, ["ban", "user_ada"], node=node)
    banned = readme(project, served.url, token("user_ada"), node)

    assert first == "user_ada 1"
    assert expired == "sign in again token-expired"
    assert missing == "sign in again undefined"
    assert unknown == "user-unknown undefined"
    assert banned == "banned"


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
def test_every_operation_answers_what_the_service_says(
    node: str, project: Project, served: Served, clerk_stand_in: RunningStandIn
):
    clerk_stand_in.instance.create("user_ada", first_name="Ada", email_address=["ada@example.org"])
    clerk_stand_in.instance.sign_in("user_ada")
    calls: list[list[Any]] = [
        ["user", "user_ada"],
        ["users", {"ids": ["user_ada", "user_nobody"]}],
        ["users", {"email": "ADA@example.org"}],
        ["lock", "user_ada"],
        ["unlock", "user_ada"],
        ["setMetadata", "user_ada", {"plan": "pro"}],
        ["ban", "user_ada"],
        ["unban", "user_ada"],
        ["revokeSessions", "user_ada"],
        ["sync", "user_ada"],
        ["delete", "user_ada"],
    ]
    read, by_id, by_email, *actions, revoked, synced, deleted = called(project, served.url, KEY, *calls, node=node)

    assert (read["status"], read["data"]["first_name"]) == (200, "Ada")
    assert by_id["data"] == {"users": [read["data"]], "missing": ["user_nobody"]}
    assert by_email["data"]["users"] == [read["data"]]
    assert [action["data"]["user"]["version"] for action in actions] == [2, 3, 4, 5, 6]
    assert actions[2]["data"]["user"]["public_metadata"] == {"plan": "pro"}
    assert revoked["data"].keys() == {"revoked"}
    assert (synced["data"]["outcome"], deleted["data"]["outcome"]) == ("unchanged", "deleted")


def test_every_kind_of_refusal_has_its_code(project: Project, served: Served, clerk_stand_in: RunningStandIn):
    clerk_stand_in.instance.create("user_ada")
    clerk_stand_in.instance.create("user_gone")
    calls: dict[str, list[Any]] = {
        "user-unknown": ["user", "user_nobody"],
        "identity-provider-refused": ["setMetadata", "user_ada", {"text": "x" * 9000}],
        "request-not-valid": ["users", {"ids": ["../x"]}],
        "user-gone": ["user", "user_gone"],
    }
    called(project, served.url, KEY, ["delete", "user_gone"])
    found = dict(zip(calls, called(project, served.url, KEY, *calls.values()), strict=True))
    (stolen,) = called(project, served.url, "ask_stolen", ["ban", "user_ada"])

    assert {code: answer["problem"]["code"] for code, answer in found.items()} == {code: code for code in calls}
    assert found["identity-provider-refused"]["problem"]["codes"] == ["form_param_exceeds_allowed_size"]
    assert (found["user-unknown"]["problem"]["status"], found["user-unknown"]["problem"]["codes"]) == (404, [])
    assert stolen["problem"]["code"] == "service-key-not-valid"


def test_an_unchanged_profile_is_told_by_its_etag(project: Project, served: Served, clerk_stand_in: RunningStandIn):
    clerk_stand_in.instance.create("user_ada", first_name="Ada")
    session = token("user_ada")
    (first,) = called(project, served.url, session, ["me"])
    same, other = called(project, served.url, session, ["me", {"etag": first["etag"]}], ["me", {"etag": '"another"'}])

    assert (same["status"], same["data"], same["etag"]) == (304, None, first["etag"])
    assert other["data"] == first["data"]


def test_an_outage_says_how_long_to_wait_and_no_service_rejects(project: Project, served: Served):
    without_database = start("--workers=1")
    wait_until_it_answers(without_database)
    try:
        (answer,) = called(project, without_database.url, token("user_ada"), ["me"])
    finally:
        without_database.stop()
    (refused,) = called(project, "http://127.0.0.1:9", "x", ["me"])

    assert answer["problem"]["code"] == "store-unavailable"
    assert answer["problem"]["retryAfterSeconds"] >= 1
    assert refused == {"thrown": "TypeError"}


def test_what_is_not_the_service_is_no_problem_document(project: Project):
    answers = iter(
        [
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
            b'HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"code":"waf"}',
        ]
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def proxy() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

        thread = threading.Thread(target=proxy, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        found = called(project, url, "x", *[["me"]] * 4)
        thread.join(10)

    assert [each["problem"]["code"] for each in found] == ["no-problem-document"] * 4
    assert [each["problem"]["status"] for each in found] == [502, 200, 302, 403]


def test_a_code_that_an_operation_does_not_have_does_not_compile(project: Project):
    program = """
import { AuthService } from "@anomalyze/auth/client";
const answer = await new AuthService({ baseUrl: "http://x", credential: "x" }).me();
if (!answer.ok && answer.problem.code === "user-banned") console.log(1);
if (!answer.ok && answer.problem.code === "user-baned") console.log(2);
"""
    (project.folder / "codes.ts").write_text(program)

    with pytest.raises(AssertionError, match="have no overlap") as refused:
        project.compile_quickly("codes.ts")
    assert re.findall(r"codes\.ts\((\d+),.*error", str(refused.value)) == ["5"]  # the one line, and nothing else
