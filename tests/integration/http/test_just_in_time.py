"""A token that arrives before its webhook: `auth-service serve`, a real PostgreSQL, and Clerk's API over real HTTP."""

import asyncio

import asyncpg
import httpx
import pytest

from devkit.fake_clerk.samples import sample_user
from support.http_server import Answer, http_server
from support.users import USER
from support.web import bearer, created, deleted, event, signed

KEY = "sk_test_0123456789"
SIGNED_UP_AT = 1_700_000_000_000
KNOWN = Answer(document=sample_user(USER, now_ms=SIGNED_UP_AT))
NONE = Answer(404, {"errors": [{"message": "not found", "long_message": "no user", "code": "resource_not_found"}]})
BUSY = Answer(429, {"errors": [{"message": "too many", "long_message": "too many", "code": "too_many_requests"}]})
BOUND_S = 10
"""Below the 15 s after which many clients give up; every request of this file is answered within."""


@pytest.fixture
def clerk():
    with http_server(lambda _: NONE) as server:
        yield server


@pytest.fixture
def url(serve, clerk, database_url):
    # One worker: a flight, and what is remembered, belong to a process.
    return serve("--workers=1", DATABASE_URL=database_url, CLERK_SECRET_KEY=KEY, CLERK_API_URL=clerk.url).url


def me(url, user=USER):
    return httpx.get(f"{url}/v1/me", headers=bearer(user), timeout=BOUND_S)


def deliver(url, body):
    return httpx.post(f"{url}/webhooks/clerk", content=body, headers=signed(body), timeout=BOUND_S).json()["outcome"]


async def events(database_url):
    connection = await asyncpg.connect(database_url)
    try:
        return [tuple(row) for row in await connection.fetch("SELECT key, version, type FROM outbox ORDER BY version")]
    finally:
        await connection.close()


async def test_a_user_that_clerk_has_is_200_and_announced_and_the_late_webhook_changes_nothing(
    url, clerk, database_url
):
    clerk.answers = lambda _: KNOWN
    first = me(url)

    assert (first.status_code, first.json()["id"], first.json()["version"]) == (200, USER, 1)
    assert [(request.method, request.path) for request in clerk.requests] == [("GET", f"/v1/users/{USER}")]
    assert await events(database_url) == [(USER, 1, "anomalyze.user.created.v1")]

    assert deliver(url, created(at=SIGNED_UP_AT)) == "stale"  # older than the reading of the same state
    sign_in = event("user.updated", sample_user(USER, now_ms=SIGNED_UP_AT, updated_at=SIGNED_UP_AT + 50))
    assert deliver(url, sign_in) == "unchanged"
    again = me(url)
    assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])
    assert len(await events(database_url)) == 1
    assert len(clerk.requests) == 1


async def test_a_stampede_of_a_new_user_asks_a_slow_clerk_once(url, clerk, database_url):
    clerk.answers = lambda _: Answer(document=KNOWN.document, after_s=1.0)
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(limits=limits, timeout=BOUND_S) as client:
        answers = await asyncio.gather(*(client.get(f"{url}/v1/me", headers=bearer()) for _ in range(200)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(clerk.requests) == 1
    assert len(await events(database_url)) == 1


def test_none_is_404_without_asking_again_at_once_and_the_webhook_is_noticed(url, clerk):
    answers = [me(url) for _ in range(3)]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "user-unknown")] * 3
    assert len(clerk.requests) == 1
    assert deliver(url, created()) == "created"
    assert me(url).status_code == 200


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Answer(after_s=60), "unavailable"),
        (Answer(500, {}), "unavailable"),
        (BUSY, "limited"),
        (Answer(401, {}), "key-refused"),
        (Answer(document="no user"), "unavailable"),
        (None, "unavailable"),
    ],
    ids=["slow", "broken", "rate-limited", "wrong-key", "nonsense", "dead"],
)
def test_a_fault_of_clerk_is_503_in_bounded_time_and_over_when_clerk_is_back(serve, database_url, fault, code):
    with http_server(lambda _: fault) as clerk:
        url = serve(DATABASE_URL=database_url, CLERK_SECRET_KEY=KEY, CLERK_API_URL=clerk.url).url
        if fault:
            answer = me(url)
    if not fault:
        answer = me(url)

    assert (answer.status_code, answer.json()["code"]) == (503, f"identity-provider-{code}")
    assert answer.headers["retry-after"]
    assert KEY not in answer.text
    with http_server(lambda _: KNOWN, port=clerk.port):
        assert me(url).status_code == 200


async def test_a_webhook_that_lands_while_clerk_is_slow_serves_those_who_come_after_and_those_who_wait(url, clerk):
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(_):
        loop.call_soon_threadsafe(asked.set)
        return Answer(after_s=60)

    clerk.answers = slow
    waiting = asyncio.create_task(asyncio.to_thread(me, url))
    await asked.wait()
    await asyncio.to_thread(deliver, url, created())
    after = await asyncio.to_thread(me, url)

    assert (after.status_code, waiting.done()) == (200, False)
    assert (await waiting).status_code == 200


def test_a_deleted_user_is_401_and_clerk_is_not_asked(url, clerk):
    clerk.answers = lambda _: KNOWN
    deliver(url, deleted())

    assert me(url).status_code == 401
    assert clerk.requests == []


def test_verify_asks_clerk_only_for_active(url, clerk):
    clerk.answers = lambda _: Answer(document=sample_user(USER, now_ms=SIGNED_UP_AT, banned=True))
    plain = httpx.get(f"{url}/v1/verify", headers=bearer())

    assert (plain.status_code, clerk.requests) == (200, [])
    active = httpx.get(f"{url}/v1/verify?active=true", headers=bearer())
    assert (active.status_code, active.json()["code"]) == (403, "user-banned")
    assert len(clerk.requests) == 1
