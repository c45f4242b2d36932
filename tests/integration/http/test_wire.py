"""What a broken, slow or hostile client meets on the wire: granian, the edge and the body reader together."""

import json
import resource
import time
from contextlib import ExitStack, suppress

import psutil
import pytest

from entrypoints.http.middleware.body import BODY_LIMIT_BYTES, BUDGET_BYTES
from support.commands import ANEW
from support.http_process import everything

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


def test_a_body_in_single_bytes_is_given_up_long_before_its_end(offline):
    single = b"1\r\nx\r\n" * 50_000
    answer = offline.exchange(well_formed() + b"Transfer-Encoding: chunked\r\n\r\n" + single)

    assert statuses(answer) == [408]
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


def test_head_has_no_body_and_the_connection_goes_on(offline):
    answer = offline.exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\nAccept: application/json;q=0, */*\r\n\r\n" + NEXT)

    assert statuses(answer) == [200, 200]
    assert b"content-type: text/html" in answer
    assert b"<h1>" not in answer


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


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", 401),
        (b"POST /v1/ext-authz/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", 401),
        (b"PUT /v1/verify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 401),
        (b"GET /v1/me HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", 401),
        (b"POST /v1/users/user_1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", 401),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", 404),
        (POST + b"Content-Length: 1000\r\n\r\n{", 400),
        (POST + b"svix-id: msg_1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{", 400),
    ],
)
def test_a_body_that_is_announced_and_never_comes_is_not_waited_for(offline, request_bytes, status):
    offline.exchange(request_bytes)  # whatever is made for the first request
    with offline.connect() as connection:
        began = time.monotonic()
        connection.sendall(request_bytes)
        head = connection.recv(65536)
        answered_s = time.monotonic() - began
        rest = everything(connection, silence=5.0)

    assert statuses(head) == [status]
    assert b"connection: close" in head.lower()
    assert rest.endswith(b"<closed>")
    assert answered_s < 1.0


def test_a_delivery_of_another_day_is_not_waited_for_either(offline):
    request = POST + b"svix-id: msg_1\r\nsvix-timestamp: 1700000000\r\nsvix-signature: v1,%s=\r\n" % (b"A" * 43)
    began = time.monotonic()
    answer = offline.exchange(request + b"Content-Length: 1000\r\n\r\n{")

    assert statuses(answer) == [400]
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("size", [20_000, 40_000, 100_000, 300_000])
@pytest.mark.parametrize(
    "head", [b"GET /v1/me?%s HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /v1/me HTTP/1.1\r\ncookie: %s\r\n\r\n"]
)
def test_a_long_head_is_refused_and_not_read_to_its_end(offline, head, size):
    answer = offline.exchange(head % (b";" * size))

    assert statuses(answer)[0] in (414, 431)
    assert statuses(offline.exchange(NEXT)) == [200]


def test_uploads_that_do_not_end_leave_room_for_those_that_do(serve):
    """Each is a megabyte, all of them three times what the process may hold."""
    served = serve(**ANEW)  # a forked one maps libraries when it first uses them, and then they count as held
    served.exchange(well_formed() + b"Content-Length: 2\r\n\r\n{}")  # what the first request needs is not held
    (worker,) = psutil.Process(served.process.pid).children()
    before = worker.memory_info().rss
    upload = well_formed() + b"Content-Length: %d\r\n\r\n" % BODY_LIMIT_BYTES + b"x" * (BODY_LIMIT_BYTES - 1)
    with ExitStack() as open_connections:
        uploads = [open_connections.enter_context(served.connect()) for _ in range(3 * BUDGET_BYTES // len(upload))]
        for connection in uploads:
            connection.settimeout(0.01)
            with suppress(OSError):  # what is not read yet stays with the client
                connection.sendall(upload)
            connection.settimeout(30)
        held = worker.memory_info().rss - before
        began = time.monotonic()
        answer = served.exchange(well_formed() + b"Content-Length: 2\r\n\r\n{}")
        answered_s = time.monotonic() - began
        unfinished = [everything(connection) for connection in uploads[:3]]

    assert held < 1.25 * BUDGET_BYTES  # what connections read ahead is not yet a body
    assert statuses(answer) == [400]
    assert answered_s < 5.0  # a second of them is `everything` waiting for more
    assert all(statuses(one)[0] in (408, 503) for one in unfinished)


def test_half_sent_heads_hold_nobody(serve):
    served = serve()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        with ExitStack() as open_connections:
            for _ in range(min(4200, most - 1000)):
                open_connections.enter_context(served.connect()).sendall(b"GET /v1/me HTTP/1.1\r\nx-half: ")
            began = time.monotonic()
            answer = served.exchange(NEXT)
            answered_s = time.monotonic() - began
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert statuses(answer) == [200]
    assert answered_s < 4.0


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


@pytest.mark.parametrize(
    "path",
    [
        b"//v1/verify",
        b"/v1/../v1/verify",
        b"/v1/%2e%2e/health",
        b"/v1/./me",
        b"/v1/verify%0A",
        b"/v1%2Fverify",
        b"/v1\\me",
        b"//health/live",
        b"/health/live%00",
        b"/health/%252e/live",
        b"/webhooks//clerk",
        b"/v1/%C0%AE/me",
        b"*",
    ],
)
def test_a_path_that_programs_read_in_different_ways_is_400_and_the_connection_goes_on(offline, path):
    preflight = b"Origin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n"
    answer = offline.exchange(b"OPTIONS " + path + b" HTTP/1.1\r\nHost: x\r\n" + preflight + b"\r\n" + NEXT)

    assert statuses(answer) == [400, 200]
    assert b"bad-request" in answer


@pytest.mark.parametrize(
    "path", [b"/../v1/me", b"/a/./b", b"//", b"/%2e%2e%2f", b"/a%0Ab", b"/%C0%AE", b"/x\\y", b"?a=b"]
)
def test_whatever_the_path_of_the_original_request_is_the_verdict_is_on_the_token(offline, path):
    answer = offline.exchange(b"DELETE /v1/ext-authz" + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" + NEXT)

    assert statuses(answer) == [401, 200]
    assert b"token-missing" in answer
