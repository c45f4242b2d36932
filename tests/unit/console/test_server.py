"""Who may look at the console and act through it, and what never leaves it."""

import hashlib
import json
import re
import time
from pathlib import Path

import httpx
import pytest
from sdktest.rows import each_row

import devkit.console
from support.clerk_stand_in import SECRET_KEY
from support.console import running_console
from support.web import SECRET
from unit.console.conftest import attempt, user

PAGE = Path(devkit.console.__file__).parent / "page"
KEPT = {
    "htm.mjs": "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",
    "preact-hooks.mjs": "e862ab2973aa6455eaa0f77c5d832d2157d6be59a17c8ba546550a575b58c6b4",
    "preact.mjs": "bdcbd9abdf2c77c5c45326eab42191e949222d479d0d5f69467387a77040cb55",
}
"""SHA-256 of the libraries, as their npm packages have them; test_console.py compares them with the packages."""

HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>'


@pytest.fixture
def console():
    with running_console() as running:
        yield running


@pytest.fixture
def http(console):
    with httpx.Client(base_url=console.url, trust_env=False, timeout=20) as client:
        yield client


def known(http):
    """What the page is given."""
    return json.loads(re.search(r'id="known"[^>]*>(.*?)</script>', http.get("/").text)[1])


def call(http, *, token=None, origin=None, **request):
    body = {"method": "POST", "path": "/v1/users", "body": {"email_address": ["ada@example.org"]}, **request}
    own = {"origin": str(http.base_url).rstrip("/"), "x-console-token": known(http)["token"]}
    given = {"origin": origin, "x-console-token": token}
    headers = {**own, **{name: value for name, value in given.items() if value is not None}}
    return http.post("/console/call", json=body, headers={name: value for name, value in headers.items() if value})


def first_view(http, query=""):
    with http.stream("GET", f"/console/live{query}") as live:
        assert live.headers["content-type"].startswith("text/event-stream")
        for line in live.iter_lines():
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))
    raise AssertionError("no view")


def test_the_page_sends_a_request_with_the_key_that_it_does_not_have(console, http):
    made = call(http)
    refused = call(http)

    assert made.json()["status"] == 200
    assert console.clerk.instance.get(made.json()["id"])
    assert set(made.json()) == {"status", "error", "id"}
    assert refused.json()["status"] == 422
    assert "taken" in refused.json()["error"]


@each_row(
    "how",
    [
        {"token": "wrong"},
        {"token": ""},
        {"origin": "http://attacker.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:1"},
    ],
)
def test_nobody_but_the_page_acts(how):
    with running_console() as console, httpx.Client(base_url=console.url, trust_env=False) as http:
        refused = call(http, **how)

        assert refused.status_code == 403
        assert console.clerk.instance.user_ids() == []


@each_row("body", [b"", b"[]", b"{", b'{"method": 1, "path": ""}', b'{"method":"GET","path":"/","x":1}', b"\xff"])
def test_what_is_no_request_is_refused(body):
    with running_console() as console, httpx.Client(base_url=console.url, trust_env=False) as http:
        headers = {"origin": console.url, "x-console-token": known(http)["token"]}

        assert http.post("/console/call", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize("path", ["/", "/console/app.js", "/console/nothing"])
def test_head_answers_as_get_without_a_body(http, path):
    get, head = http.get(path), http.head(path)

    assert (head.status_code, head.content) == (get.status_code, b"")
    own = ("content-type", "content-length", "cache-control", "x-frame-options")
    assert [head.headers[name] for name in own] == [get.headers[name] for name in own]
    assert http.get(path).content == get.content or path == "/"  # the connection goes on


def test_head_of_the_live_view_ends_at_once(http):
    head = http.head("/console/live")

    assert head.headers["content-type"].startswith("text/event-stream")
    assert first_view(http)["users"] == []


@each_row(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/console/app.js", "GET, HEAD"),
        ("PUT", "/console/live", "GET, HEAD"),
        ("GET", "/console/call", "POST"),
        ("HEAD", "/console/call", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(http, method, path, allowed):
    refused = http.request(method, path)

    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/", "/console/live", "/console/app.js", "/console/call"])
def test_another_name_for_this_address_is_refused(http, path):
    for host in ("attacker.example", "attacker.example:3004", "localhost.attacker.example", "[::1", ""):
        assert http.get(path, headers={"host": host}).status_code == 403, host
    assert http.get("/", headers={"host": "localhost:3004"}).status_code == 200
    assert http.get("/", headers={"host": "[::1]:3004"}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_may_link_to_it_and_nothing_more(http, site):
    assert http.get("/", headers={"sec-fetch-site": site}).status_code == 200
    assert http.get("/console/live", headers={"sec-fetch-site": site}).status_code == 403
    assert http.get("/console/style.css", headers={"sec-fetch-site": site}).status_code == 403


def test_the_page_has_no_cookie_no_secret_and_loads_nothing_from_elsewhere(http):
    first, second = http.get("/"), http.get("/")
    policy = first.headers["content-security-policy"]
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', first.text))

    assert f"script-src 'self' 'nonce-{nonce}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert nonce not in second.text
    assert "set-cookie" not in first.headers
    assert first.headers["cache-control"] == "no-store"
    assert "__KNOWN__" not in first.text
    assert "__NONCE__" not in first.text
    assert SECRET_KEY not in first.text
    assert not re.search(r"https?://(?!127\.0\.0\.1)", first.text)
    for file in ("app.js", "commands.js", "style.css"):
        served = http.get(f"/console/{file}")
        assert served.status_code == 200
        assert not re.search(r"https?://", served.text), file


@each_row("path", ["/console/", "/console/index.html", "/console/vendor", "/console/%2e%2e/x"])
def test_nothing_else_is_served(path):
    with running_console() as console, httpx.Client(base_url=console.url, trust_env=False) as http:
        assert http.get(path).status_code in (401, 404)


def test_whatever_is_below_no_path_of_its_own_is_the_stand_ins_api(http):
    assert http.get("/v1/users").status_code == 401
    assert http.get("/.well-known/jwks.json").status_code == 200
    assert http.post("/").status_code == 405


@each_row("name", KEPT)
def test_a_library_is_the_one_of_its_package(name):
    assert hashlib.sha256((PAGE / "vendor" / name).read_bytes()).hexdigest() == KEPT[name]


def test_each_library_has_its_licence():
    assert "MIT" in (PAGE / "vendor/LICENSE.preact").read_text()
    assert "Apache License" in (PAGE / "vendor/LICENSE.htm").read_text()
    assert {path.name for path in (PAGE / "vendor").glob("*.mjs")} == set(KEPT)


@pytest.mark.parametrize("query", ["", "?q=ada", "?users=1", "?user=user_ada", "?user=user_ada&delivery=1"])
def test_what_is_private_is_never_shown(console, http, query):
    hidden = {"private_metadata": {"k": "PRIVATE"}, "unsafe_metadata": {"k": "UNSAFE"}}
    console.records.add_attempt(attempt(data=user(first_name=HOSTILE, last_sign_in_at=1, **hidden)))
    console.clerk.instance.create("user_ada", email_address=["ada@example.org"], **hidden)
    shown = json.dumps(first_view(http, query))

    for secret in ("PRIVATE", "UNSAFE", SECRET, SECRET_KEY, "event_attributes", "client_ip", "password"):
        assert secret not in shown, secret
    if "delivery" in query:
        assert json.dumps(HOSTILE)[1:-1] in json.loads(shown)["chosen"]["says"]


def test_a_change_is_sent_to_whoever_looks(console, http):
    with http.stream("GET", "/console/live?users=1") as live:
        lines = (json.loads(line[6:]) for line in live.iter_lines() if line.startswith("data: "))
        assert next(lines)["users"] == []
        call(http)
        assert [card["email"] for card in next(lines)["users"]] == ["ada@example.org"]
        assert console.records.watchers == 1
    deadline = time.monotonic() + 20
    while console.records.watchers:  # seen at the next write
        assert time.monotonic() < deadline
        time.sleep(0.05)
