import re
import time

import pytest
from sdktest.rows import each_row
from structlog.testing import capture_logs

from application.trace import traceparent
from entrypoints.http.middleware.request_middleware import RequestMiddleware
from entrypoints.http.recent_failures import RecentFailures
from support.users import USER
from support.web import bearer, client, created, event, signed, token

TRACE = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("path", ["/", "/health/live", "/v1/me", "/nowhere", "/v1/verify", "/schema"])
async def test_every_answer_has_a_request_id(web, path):
    response = await web.client.get(path)

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.mark.parametrize("given", ["abc", "A.b_c-1", "x" * 64])
async def test_a_sane_request_id_of_the_client_is_kept(web, given):
    response = await web.client.get("/nowhere", headers={"x-request-id": given})

    assert response.headers.get_list("x-request-id") == [given]


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a;b", "ü", '"'])
async def test_any_other_is_replaced(web, given):
    response = await web.client.get("/health/live", headers={"x-request-id": given.encode("latin-1")})

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def traced(headers):
    """What the application behind the edge sees as the trace."""
    seen = []

    async def app(scope, receive, send):
        seen.append(traceparent.get())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with client(RequestMiddleware(app, RecentFailures(time.monotonic))) as http:
        await http.get("/", headers=[("traceparent", value) for value in headers])
    assert traceparent.get() is None
    return seen[0]


@pytest.mark.parametrize("given", [f"00-{TRACE}", f"01-{TRACE}", f"cc-{TRACE}-what-comes-later"])
async def test_a_trace_is_taken_over_of_later_versions_as_well(given):
    assert await traced([given]) == f"00-{TRACE}"


@each_row(
    "given",
    [
        [],
        [""],
        [f"00-{TRACE}", f"00-{TRACE}"],
        [f"ff-{TRACE}"],
        [f"00-{TRACE}-more"],
        [f"01-{TRACE}more"],
        [f"00-{TRACE.upper()}"],
        [f"00-{'0' * 32}-b7ad6b7169203331-01"],
        [f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"],
        ["00-zz-zz-01"],
    ],
)
async def test_no_or_a_malformed_trace_is_none(given):
    assert await traced(given) is None


@pytest.mark.parametrize(
    "path", ["/", "/v1/me", "/health", "/health/live", "/metrics", "/schema", "/schema/openapi.json"]
)
async def test_head_is_get_without_the_body(web, path):
    await web.deliver(created())
    got = await web.client.get(path, headers=bearer())
    head = await web.client.head(path, headers=bearer())

    assert (head.status_code, head.content) == (200, b"")
    assert got.content
    assert head.headers["content-type"] == got.headers["content-type"]


async def test_options_says_what_is_allowed(web):
    response = await web.client.options("/webhooks/clerk")

    assert response.status_code == 204
    assert set(response.headers["allow"].split(", ")) == {"POST", "OPTIONS"}


async def test_an_error_past_every_handler_is_still_a_problem_with_a_request_id():
    async def app(scope, receive, send):
        raise RuntimeError("secret")

    async with client(RequestMiddleware(app, RecentFailures(time.monotonic))) as http:
        with capture_logs() as logs:
            response = await http.get("/")

    assert response.status_code == 500
    assert response.json()["code"] == "internal-error"
    assert response.headers["x-request-id"]
    assert "secret" not in response.text + str(logs)


async def test_one_line_a_request_with_template_status_duration_and_outcome(web):
    with capture_logs() as logs:
        response = await web.deliver(created())

    (line,) = logs
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "request_id": response.headers["x-request-id"],
        "method": "POST",
        "route": "/webhooks/clerk",
        "status": 200,
        "svix_id": "msg_1",
        "outcome": "created",
    }


async def test_a_line_without_an_outcome_has_no_such_field(web):
    await web.deliver(created())
    with capture_logs() as logs:
        await web.me(**bearer())

    assert logs[0]["status"] == 200
    assert "outcome" not in logs[0]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (lambda: {"authorization": "Bearer x"}, "token-malformed"),
        (lambda: bearer(exp=1), "token-expired"),
        (lambda: bearer(iss="https://elsewhere.example"), "issuer-mismatch"),
        (lambda: bearer(sub="canary"), "claim-invalid"),
        (dict, None),
    ],
)
@pytest.mark.parametrize("path", ["/v1/me", "/v1/verify", "/v1/users/user_1"])
async def test_the_line_says_why_a_token_was_refused(web, path, headers, reason):
    with capture_logs() as logs:
        await web.client.get(path, headers=headers())

    assert (logs[0]["status"], logs[0].get("reason")) == (401, reason)


@pytest.mark.parametrize("name", ["svix-id", "webhook-id"])
@pytest.mark.parametrize(
    ("given", "logged"),
    [
        ("msg_2p5jXN8AQM9LWM0D4loKWxJek", "msg_2p5jXN8AQM9LWM0D4loKWxJek"),
        ("msg_" + "x" * 61, None),
        ("ada@example.org", None),
        ("msg_ada@example.org", None),
        ("msg_", None),
    ],
)
async def test_the_line_of_a_delivery_has_its_id_when_it_is_one(web, name, given, logged):
    with capture_logs() as logs:
        await web.client.post("/webhooks/clerk", content=b"{}", headers={name: given})

    assert logs[0]["status"] == 400
    assert logs[0].get("svix_id") == logged
    assert logged or given not in str(logs)


async def test_probes_are_quiet(web):
    with capture_logs() as logs:
        await web.client.get("/health/live")

    assert [line["log_level"] for line in logs] == ["debug"]


async def test_no_line_holds_bodies_tokens_cookies_paths_or_addresses(web):
    session = token()
    body = created(private_metadata={"note": "very-private"})
    with capture_logs() as logs:
        await web.deliver(body)
        await web.deliver(body, signed(b"x"))
        await web.deliver(event("user.created", {"id": "user_1", "note": "very-private"}))
        await web.me(authorization=f"Bearer {session}")
        await web.me(cookie=f"__session={session}", x_forwarded_for="203.0.113.7")
        await web.me(authorization="Bearer not-a-token")
        await web.client.get("/nowhere/very-private?token=very-private")
        await web.client.request("VERY-PRIVATE", "/v1/verify")

    written = str(logs)
    assert len(logs) == 8
    for private in ("very-private", "VERY-PRIVATE", session, "not-a-token", "example.org", "203.0.113.7", "127.0.0.1"):
        assert private not in written
    assert USER not in written


async def test_metrics_are_labelled_by_template_and_by_known_methods_only(web):
    await web.deliver(created())
    await web.client.get("/nowhere/xyzzy")
    await web.client.request("XYZZY", "/v1/ext-authz/xyzzy")
    text = (await web.client.get("/metrics")).text

    assert '{method="POST",route="/webhooks/clerk",status="200"}' in text
    assert 'auth_webhooks_total{outcome="created"}' in text
    assert '{method="GET",route="unmatched",status="404"}' in text
    assert '{method="other",route="/v1/verify",status="401"}' in text
    assert "xyzzy" not in text.lower()
