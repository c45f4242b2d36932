import base64
import hashlib
import re
from pathlib import Path

import pytest

from entrypoints.http.openapi import reference
from entrypoints.http.openapi.document import document
from entrypoints.http.routes.handlers import HANDLERS, INJECTED
from support.refusals import every_problem
from support.web import bearer, created

ACTIONS = ("ban", "unban", "lock", "unlock", "set-metadata", "revoke-sessions", "sync", "delete")


@pytest.fixture(scope="module")
def described():
    return document(HANDLERS, INJECTED)


def test_it_is_openapi_3_1_with_every_route(described):
    assert described["openapi"].startswith("3.1")
    assert set(described["paths"]) == {
        "/webhooks/clerk",
        "/v1/me",
        "/v1/verify",
        "/v1/ext-authz/{path}",
        "/v1/users",
        "/v1/users/{user_id}",
        *(f"/v1/users/{{user_id}}/{action}" for action in ACTIONS),
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
    }


def test_every_problem_is_documented_under_its_status(described):
    documented = {
        (int(status), code)
        for item in described["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
        for code in re.findall(r"`([a-z-]+)`", response["description"])
    }

    assert {(problem.status, problem.code) for problem in every_problem()} <= documented


def test_every_error_has_the_shape_of_a_problem(described):
    for item in described["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = response["content"]["application/problem+json"]["schema"]

                    assert schema == {"$ref": "#/components/schemas/ProblemDocument"}


def test_what_the_container_injects_is_no_parameter(described):
    names = {
        parameter["name"]
        for item in described["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", [])
    }

    of_users = {"user_id", "ids", "email", "min_version"}
    of_verify = {"active", "in_person", "cacheable", "path"}
    assert names == {"svix-id", "svix-timestamp", "svix-signature", "If-None-Match"} | of_verify | of_users


def test_every_route_of_users_says_whom_it_admits_and_only_one_takes_a_body(described):
    operations = {
        path: operation
        for path, item in described["paths"].items()
        for operation in item.values()
        if path.startswith("/v1/users")
    }

    assert all(operation["security"] == [{"bearer": []}, {"serviceKey": []}] for operation in operations.values())
    assert [path for path, operation in operations.items() if "requestBody" in operation] == [
        "/v1/users/{user_id}/set-metadata"
    ]


async def test_the_answers_are_as_documented(web, described):
    await web.deliver(created())
    profile = (await web.me(**bearer())).json()
    health = (await web.client.get("/health")).json()
    problem = (await web.me()).json()

    schemas = described["components"]["schemas"]
    assert set(profile) == set(schemas["ProfileDocument"]["properties"])
    assert set(health) == set(schemas["Health"]["properties"])
    assert set(problem) <= set(schemas["ProblemDocument"]["properties"])


async def test_the_document_is_served(web, described):
    response = await web.client.get("/schema/openapi.json")

    assert response.json() == described


async def test_the_page_runs_one_program_of_ours_and_no_other(web):
    response = await web.client.get("/schema")
    policy = dict(each.split(" ", 1) for each in response.headers["content-security-policy"].split("; "))
    [start] = re.findall(r"<script>(.*?)</script>", response.text)
    digest = base64.b64encode(hashlib.sha256(start.encode()).digest()).decode()

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe-eval" not in str(policy)
    assert not re.findall(r"https?://|@import|url\(", response.text)
    assert re.findall(r"src='([^']*)'", response.text) == [reference.SCRIPT]


async def test_the_program_is_the_package_s_own_and_is_sent_as_the_client_takes_it(web):
    packed = await web.client.get(reference.SCRIPT)
    plain = await web.client.get(reference.SCRIPT, headers={"accept-encoding": "identity"})

    assert hashlib.sha256(packed.content).hexdigest() == reference.SHA256
    assert plain.content == packed.content
    assert (packed.headers["content-encoding"], plain.headers.get("content-encoding")) == ("gzip", None)
    assert int(packed.headers["content-length"]) < 1_500_000
    assert packed.headers["content-type"].startswith("text/javascript")
    assert "immutable" in packed.headers["cache-control"]
    folder = Path(reference.__file__).parent / "scalar"
    assert f"@scalar/api-reference@{reference.VERSION}" in (folder / "README.md").read_text()
    assert "MIT License" in (folder / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("br;q=1.0, GZIP ; q=0.001", "gzip"),
        ("gzip,deflate", "gzip"),
        ("gzip;q=0", None),
        ("deflate, gzip; q=0.000, br", None),
        ("notgzip", None),
        ("*", "gzip"),
        ("*;q=0", None),
        ("gzip;q=0.5, identity", None),
        ("identity;q=0.5, *;q=0.6", "gzip"),
    ],
)
async def test_the_program_is_packed_for_whoever_takes_it_packed(web, accepted, encoding):
    sent = await web.client.head(reference.SCRIPT, headers={"accept-encoding": accepted})

    assert sent.headers.get("content-encoding") == encoding


def test_every_operation_has_a_place_in_the_list(described):
    tags = [tag["name"] for tag in described["tags"]]
    used = [operation["tags"] for item in described["paths"].values() for operation in item.values()]

    assert {tag for each in used for tag in each} == set(tags)
    assert all(len(each) == 1 for each in used)
