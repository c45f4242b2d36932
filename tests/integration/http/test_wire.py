"""What a broken, slow or hostile client meets on the wire: granian, the edge and the body reader together."""

import json
import time

import pytest

from entrypoints.http.body import BODY_LIMIT_BYTES

POST = b"POST /webhooks/clerk HTTP/1.1\r\nHost: x\r\n"


def well_formed() -> bytes:
    """A delivery whose headers could be Clerk's; its signature is not."""
    return POST + b"svix-id: msg_1\r\nsvix-timestamp: %d\r\nsvix-signature: v1,%s=\r\n" % (time.time(), b"A" * 43)


NEXT = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def statuses(answer):
    return [int(part.split(b" ", 1)[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def chunks(total, size=65536):
    return [b"%x\r\n%s\r\n" % (size, b"x" * size)] * (total // size)


def test_a_body_too_long_is_413_while_it_streams_in_without_a_length(offline):
    answer = offline.exchange(well_formed() + b"Transfer-Encoding: chunked\r\n\r\n", *chunks(BODY_LIMIT_BYTES + 65536))

    assert statuses(answer) == [413]
    assert b"body-too-large" in answer
    assert answer.endswith(b"<closed>")


def test_a_body_announced_too_long_is_413_before_it_is_sent(offline):
    answer = offline.exchange(POST + b"Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n")

    assert statuses(answer) == [413]
    assert answer.endswith(b"<closed>")


def test_a_client_that_sends_all_of_it_first_still_gets_its_413(offline):
    answer = offline.exchange(POST + b"Content-Length: 8000000\r\n\r\n", b"x" * 8_000_000)

    assert statuses(answer) == [413]


def test_what_follows_a_413_is_not_taken_for_a_request(offline):
    answer = offline.exchange(POST + b"Content-Length: 2000000\r\n\r\n" + NEXT)

    assert statuses(answer) == [413]


def test_a_chunked_body_without_a_length_is_read_whole_and_the_connection_goes_on(offline):
    answer = offline.exchange(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" + NEXT)

    assert statuses(answer) == [400, 200]
    assert b"webhook-not-genuine" in answer


def test_pipelined_requests_are_answered_in_order(offline):
    answer = offline.exchange(POST + b"Content-Length: 2\r\n\r\n{}" + NEXT + NEXT)

    assert statuses(answer) == [400, 200, 200]


def test_the_connection_goes_on_after_a_body_that_nobody_read(offline):
    answer = offline.exchange(b"POST /v1/me HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + NEXT)

    assert statuses(answer) == [405, 200]


def test_a_body_that_does_not_arrive_is_408_and_the_connection_closes(offline):
    answer = offline.exchange(well_formed() + b"Content-Length: 100\r\n\r\nabc")

    assert statuses(answer) == [408]
    assert b"body-too-slow" in answer
    assert answer.endswith(b"<closed>")


def test_a_client_that_leaves_in_the_middle_harms_nobody(offline):
    for _ in range(20):
        with offline.connect() as connection:
            connection.sendall(POST + b"Content-Length: 100\r\n\r\nabc")

    assert statuses(offline.exchange(NEXT)) == [200]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/me?%ff=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\nCookie: \xff\r\nX-Request-Id: \xff\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: x\r\n" + b"X-Many: a\r\n" * 500 + b"\r\n",
        b'GET /v1/me HTTP/1.1\r\nHost: a b"\r\n\r\n',
        b"GET /v1/me HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://evil.example/v1/me HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/ext-authz/../../etc HTTP/1.1\r\nHost: x\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"svix-id: \r\nsvix-id: a\r\nContent-Length: 0\r\n\r\n",
        POST + b"svix-signature: \xff\xff\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_whatever_a_client_sends_it_is_told_that_it_is_wrong_and_not_that_we_are(offline, request_bytes):
    answer = offline.exchange(request_bytes)

    codes = [int(part[2:5]) for part in answer.split(b"HTTP/1.")[1:]]
    assert codes
    assert all(400 <= status < 500 for status in codes)
    assert statuses(offline.exchange(NEXT)) == [200]


def test_empty_identity_headers_survive_the_server(offline):
    from support.web import bearer  # noqa: PLC0415

    authorization = bearer()["authorization"].encode()
    answer = offline.exchange(
        b"PROPFIND /v1/ext-authz/a/b HTTP/1.1\r\nHost: x\r\nAuthorization: " + authorization + b"\r\n\r\n"
    )

    assert statuses(answer) == [200]
    assert b"x-auth-org-id: \r\n" in answer
    assert b"content-length: 0\r\n" in answer


def test_without_its_database_the_service_is_alive_but_not_ready(offline):
    live, ready = (
        offline.exchange(b"GET /health/%s HTTP/1.1\r\nHost: x\r\n\r\n" % what) for what in (b"live", b"ready")
    )

    assert statuses(live) == [200]
    assert statuses(ready) == [503]
    assert json.loads(ready.split(b"\r\n\r\n")[1])["checks"] == {"database": "unavailable"}
