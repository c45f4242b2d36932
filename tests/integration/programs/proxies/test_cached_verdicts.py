"""Verdicts that nginx caches, with the configuration of deploy/proxies: never another's, and never beyond the token."""

import re
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from support.http_process import Served, start, wait_until_it_answers
from support.proxies import CACHING, proxy
from support.web import PARTY, bearer, token

pytestmark = pytest.mark.programs

LEEWAY_S = 5
EVIL = "https://evil.example"
ALICE, BOB = "user_alice", "user_bob"
IMPERSONATED = {"act": {"sub": "user_support"}}


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    """Without a database: verdicts that may be cached need none."""
    served = start()
    wait_until_it_answers(served)
    yield served
    served.stop()


@pytest.fixture
def caching(service, application, tmp_path) -> Iterator[str]:
    with proxy(CACHING, tmp_path, service=service.port, application=application.port) as address:
        yield address


@pytest.fixture
def asked(service) -> Callable[[], int]:
    """How many verdicts the service has given so far, whatever they were."""

    def count() -> int:
        metrics = httpx.get(f"{service.url}/metrics").text
        found = re.findall(r'^http_requests_total\{.*route="/v1/verify".*\} ([0-9.]+)$', metrics, re.MULTILINE)
        return int(sum(map(float, found)))

    return count


def reached(application, header: str) -> list[str | None]:
    """What the application saw in this header, request by request."""
    return [{name.lower(): value for name, value in seen.headers}.get(header) for seen in application.requests]


@pytest.mark.parametrize("by_cookie", [False, True], ids=["header", "cookie"])
def test_a_token_that_comes_again_is_judged_once(caching, application, asked, by_cookie):
    mine = {"cookie": f"__session={token(ALICE)}"} if by_cookie else bearer(ALICE, **IMPERSONATED)
    before = asked()
    answers = [
        httpx.request(method, f"{caching}/{method}", headers=mine) for method in ("GET", "POST", "DELETE", "GET")
    ]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert asked() - before == 1
    assert reached(application, "x-auth-user-id") == [ALICE] * 4
    assert reached(application, "x-auth-actor-id") == [None if by_cookie else "user_support"] * 4


def test_nobody_is_served_what_was_decided_about_another(caching, application):
    senders = [(user, number) for number in range(3) for user in (ALICE, BOB)]
    tokens = {sender: token(sender[0], sid=f"sess_{sender[1]}") for sender in senders}
    for _ in range(3):
        for sender in senders:
            by_header = {"authorization": f"Bearer {tokens[sender]}"}
            for headers in (by_header, {"cookie": f"__session={tokens[sender]}"}):
                assert httpx.get(f"{caching}/orders", headers=headers).status_code == 200
                assert reached(application, "x-auth-user-id")[-1] == sender[0]
                assert reached(application, "x-auth-session-id")[-1] == f"sess_{sender[1]}"
        assert httpx.get(f"{caching}/orders").status_code == 401
        assert httpx.get(f"{caching}/orders", headers={"authorization": "Bearer a.b.c"}).status_code == 401


@pytest.mark.parametrize("origin", [EVIL, "null", f"{PARTY}.evil.example"])
def test_a_cookie_that_was_let_in_is_refused_for_pages_of_others(caching, application, origin):
    cookie = {"cookie": f"__session={token(ALICE)}"}
    own = [httpx.get(caching, headers=cookie), httpx.get(caching, headers={**cookie, "origin": PARTY})]
    foreign = httpx.get(caching, headers={**cookie, "origin": origin})
    handshake = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    socket = httpx.get(caching, headers={**cookie, **handshake, "origin": origin})

    assert [answer.status_code for answer in (*own, foreign, socket)] == [200, 200, 403, 403]
    assert len(application.requests) == 2


def test_a_token_that_was_let_in_does_not_count_beside_a_second_one(caching, application):
    mine, other = bearer(ALICE)["authorization"], bearer(BOB)["authorization"]
    for value in (mine, other):
        httpx.get(caching, headers={"authorization": value})
    both = [httpx.Headers([("authorization", a), ("authorization", b)]) for a, b in ((mine, other), (other, mine))]

    assert {httpx.get(caching, headers=headers).status_code for headers in both} <= {400, 401}
    assert len(application.requests) == 2


def test_a_connection_header_takes_no_actor_from_a_cached_verdict(caching, application):
    mine = bearer(ALICE, **IMPERSONATED)
    for connection in ("keep-alive", "X-Auth-Actor-Id", "close, X-Auth-Actor-Id"):
        assert httpx.get(caching, headers={**mine, "connection": connection}).status_code in (200, 400)

    assert reached(application, "x-auth-actor-id") == ["user_support"] * len(application.requests)


def test_what_a_client_says_about_itself_is_overwritten_by_a_cached_verdict_too(caching, application):
    mine = bearer(ALICE)
    for _ in range(2):
        httpx.get(caching, headers={**mine, "x-auth-user-id": BOB, "x-auth-actor-id": BOB})

    assert reached(application, "x-auth-user-id") == [ALICE] * 2
    assert reached(application, "x-auth-actor-id") == [None] * 2


@pytest.mark.parametrize(
    "headers", [{"if-none-match": "*"}, {"range": "bytes=0-0"}, {"cache-control": "no-cache"}], ids=str
)
def test_a_conditional_request_passes_as_any_other(caching, application, headers):
    mine = bearer(ALICE)
    answers = [httpx.get(caching, headers={**mine, **headers}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert reached(application, "x-auth-user-id") == [ALICE] * 2


def test_a_refusal_is_not_cached(caching, application, asked):
    before = asked()
    for headers in ({}, {"authorization": "Bearer a.b.c"}, bearer(ALICE, exp=1)):
        for _ in range(2):
            assert httpx.get(caching, headers=headers).status_code == 401

    assert asked() - before == 6
    assert application.requests == []


def test_preflights_of_the_application_are_judged_as_before(caching, application):
    preflight = {"origin": EVIL, "access-control-request-method": "PUT"}
    mine = bearer(ALICE)
    answers = [httpx.options(caching, headers=headers) for headers in (preflight, {**mine, **preflight})]

    assert [answer.status_code for answer in answers] == [401, 200]
    assert [answer.headers.get("access-control-allow-origin") for answer in answers] == [None, None]
    assert [request.method for request in application.requests] == ["OPTIONS"]


def test_a_verdict_is_forgotten_when_its_token_expires(caching, application, asked):
    expires = int(time.time()) + 3
    mine = bearer(ALICE, exp=expires)
    before = asked()
    answers = [httpx.get(caching, headers=mine) for _ in range(3)]
    kept = asked() - before
    _sleep_until(expires + 1)
    within_the_leeway = [httpx.get(caching, headers=mine) for _ in range(2)]
    asked_again = asked() - before - kept
    _sleep_until(expires + LEEWAY_S)
    afterwards = httpx.get(caching, headers=mine)

    assert [answer.status_code for answer in (*answers, *within_the_leeway)] == [200] * 5
    assert (kept, asked_again) == (1, 2)
    assert afterwards.status_code == 401
    assert len(application.requests) == 5


def test_without_the_service_cached_verdicts_count_until_their_tokens_expire(application, tmp_path):
    service = start()
    wait_until_it_answers(service)
    expires = int(time.time()) + 4
    with proxy(CACHING, tmp_path, service=service.port, application=application.port) as url:
        mine = bearer(ALICE, exp=expires)
        first = httpx.get(url, headers=mine)
        service.stop()
        answers = [httpx.get(url, headers=headers) for headers in (mine, bearer(BOB))]
        _sleep_until(expires + 1)
        afterwards = httpx.get(url, headers=mine)

    assert [answer.status_code for answer in (first, *answers, afterwards)] == [200, 200, 503, 503]


def test_a_cached_verdict_answers_no_question_that_checks_more(service, application, tmp_path, asked):
    """The second nginx has the first one's folder, with the verdict on that very token in it."""
    mine = bearer(ALICE, **IMPERSONATED)

    def told(**checks: bool) -> tuple[int, int]:
        with proxy(CACHING, tmp_path, service=service.port, application=application.port, **checks) as url:
            before = asked()
            return httpx.get(url, headers=mine).status_code, asked() - before

    assert [told(), told(), told(in_person=True)] == [(200, 1), (200, 0), (403, 1)]


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - time.time()))
