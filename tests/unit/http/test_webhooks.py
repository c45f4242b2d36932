import asyncio

import pytest
from sdktest.rows import each_row

from application.errors import ForgedWebhookError
from entrypoints.http.middleware.body import read_body
from entrypoints.http.problems import BODY_TOO_LARGE, BODY_TOO_SLOW, CLIENT_DISCONNECTED
from entrypoints.http.routes import webhooks
from entrypoints.http.routes.webhooks import signed_headers
from support.refusals import refused
from support.users import USER
from support.web import created, signed


def scope(**headers):
    return {
        "type": "http",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }


def arriving(*chunks, ends=True):
    """A client that sends these chunks, and then nothing more or nothing at all."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if ends:
        messages.append({"type": "http.request", "body": b"", "more_body": False})
    received = []

    async def receive():
        if not messages:
            await asyncio.Event().wait()
        received.append(messages.pop(0))
        return received[-1]

    receive.received = received
    return receive


async def test_the_body_is_what_came_byte_for_byte():
    assert await read_body(scope(), arriving(b"\x00a", b"", b"\xff")) == b"\x00a\xff"


async def test_a_body_that_turns_out_too_long_is_not_kept():
    receive = arriving(*[b"x" * 10] * 5)

    with refused(BODY_TOO_LARGE):
        await read_body(scope(), receive, limit=20)


async def test_a_body_announced_too_long_is_refused_without_asking_for_it():
    receive = arriving(b"x" * 30)

    with refused(BODY_TOO_LARGE):
        await read_body(scope(content_length="30", expect="100-continue"), receive, limit=20)
    assert receive.received == []


@pytest.mark.parametrize("length", ["99999999999999999999999999", "21", "٣"])
async def test_an_announcement_is_not_trusted(length):
    with refused(BODY_TOO_LARGE):
        await read_body(scope(content_length=length), arriving(b"x" * 21), limit=20)


async def test_a_body_that_trickles_in_is_cut_off_however_steady_it_is():
    async def trickle():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with refused(BODY_TOO_SLOW):
        await read_body(scope(), trickle, seconds=0.1)


async def test_a_client_that_leaves_is_noticed():
    async def gone():
        return {"type": "http.disconnect"}

    with refused(CLIENT_DISCONNECTED):
        await read_body(scope(), gone)


def test_headers_are_read_by_lower_case_name_whatever_bytes_they_hold():
    assert signed_headers([(b"SVIX-Id", b"\xff\xfe"), (b"x", b"")]) == {"svix-id": "ÿþ"}


@pytest.mark.parametrize("name", [b"svix-id", b"svix-timestamp", b"svix-signature", b"webhook-signature"])
def test_two_values_of_a_signed_header_are_a_forgery(name):
    with pytest.raises(ForgedWebhookError):
        signed_headers([(name, b"a"), (b"accept", b"*/*"), (name, b"a")])


@pytest.mark.parametrize("name", [b"accept", b"svix-attempt", b"webhook-delivery", b"svix-id-2", b"svix-"])
def test_other_headers_may_come_twice(name):
    assert signed_headers([(name, b"a"), (name, b"b")]) == {}


@each_row(
    "odd",
    [
        [(b"svix-id", b"msg_1"), (b"svix-id", b"msg_1")],
        [(b"svix-id", b"\xff")],
        [(b"svix-timestamp", "١٢٣".encode())],
        [(b"svix-signature", b"v1," * 2000)],
        [(b"content-type", b"\xff\xff")],
        [(b"content-length", b"1e9")],
        [(b"cookie", b"\xff=\xff;;;=")],
        [(b"origin", b"\xff")],
        [(b"traceparent", b"\xff")],
    ],
)
async def test_odd_headers_are_400_and_never_5xx(web, odd):
    response = await web.client.post("/webhooks/clerk", content=b"{}", headers=odd)

    assert response.status_code == 400


async def test_a_forged_body_that_does_not_even_decode_is_400(web):
    response = await web.deliver(b"\xff\xfe\x00", signed(b"{}"))

    assert response.status_code == 400


async def test_deliveries_at_once_of_one_new_user_create_it_once(web):
    outcomes = sorted((await asyncio.gather(*(web.deliver(created()) for _ in range(20)))), key=lambda r: r.text)

    assert [response.json()["outcome"] for response in outcomes] == ["created"] + ["unchanged"] * 19
    assert web.users.rows[USER].version == 1


async def test_the_callers_trace_reaches_the_event(web):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = created()
    await web.deliver(body, {**signed(body), "traceparent": trace})

    assert [message.traceparent for message in web.users.outbox] == [trace]


@pytest.mark.parametrize("depth", [1_000, 10_000, 80_000])
@pytest.mark.parametrize("name", ["unsafe_metadata", "private_metadata"])
async def test_what_a_user_nests_into_metadata_that_is_not_kept_does_not_keep_their_news_away(web, name, depth):
    body = created(**{name: "deep"}).replace(b'"deep"', b'{"a":' * depth + b"1" + b"}" * depth)
    response = await web.deliver(body)

    assert (response.status_code, response.json()) == (200, {"outcome": "created"})


async def test_public_metadata_nested_too_deep_is_422_and_says_where(web):
    body = created(public_metadata="deep").replace(b'"deep"', b'{"a":' * 5_000 + b"1" + b"}" * 5_000)
    response = await web.deliver(body)

    assert (response.status_code, response.json()["code"]) == (422, "webhook-not-usable")
    assert "public_metadata" in response.json()["detail"]


@pytest.mark.parametrize("headers", [{}, {"svix-id": "msg_1"}, {**signed(b""), "svix-timestamp": "soon"}])
async def test_without_the_headers_of_a_signed_webhook_its_body_is_not_read(web, monkeypatch, headers):
    async def no_body(*_, **__):
        raise AssertionError("the body was read")

    monkeypatch.setattr(webhooks, "read_body", no_body)
    response = await web.deliver(created(), headers)

    assert (response.status_code, response.json()["code"]) == (400, "webhook-not-genuine")
