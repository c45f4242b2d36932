"""What is made of Clerk's answers about one user, and of those that are none."""

import asyncio
import json

import pytest
from attrs import asdict
from sdktest.rows import each_row

from adapters.clerk import response_capture
from adapters.clerk.backend_api import BackendApi, RetryBudget
from adapters.clerk.identities import INTERACTIVE, ClerkIdentities
from adapters.clerk.payloads import snapshot_of
from application.errors import (
    ClerkLimitedError,
    ClerkNotConfiguredError,
    ClerkUnavailableError,
)
from domain.user import UserId
from support.clerk_payloads import encoded, user_payload
from support.odd_clerk import (
    KEY,
    READ_AT_MS,
    USER,
    clerk,
    cut_short,
    dribble,
    failure,
    http,
    identities,
    no_http,
    reset,
    silence,
)


async def test_a_user_is_read_as_a_webhook_would_tell_it_at_the_time_of_reading():
    user = user_payload(USER, public_metadata={"plan": "pro"})

    async with clerk(http(200, user)) as (fake, adapter):
        snapshot = await adapter.get(USER)

    assert snapshot == snapshot_of(encoded(user), timestamp=READ_AT_MS)
    [(request_line, headers)] = fake.requests
    assert request_line == "GET /v1/users/user_1 HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"


async def test_the_time_of_reading_is_taken_before_the_question_is_asked():
    # What Clerk changes while the answer travels is newer than the answer.
    ticks = iter(range(1, 100))

    async with clerk(http(500), http(200, user_payload(USER))) as (fake, _):
        adapter = identities(fake.url, now_ms=lambda: next(ticks))
        snapshot = await adapter.get(USER)
        await adapter.aclose()

    assert snapshot.source.timestamp == 1


@each_row(
    "drift",
    [
        {"passkeys": ...},
        {"public_metadata": None},
        {"phone_numbers": ..., "web3_wallets": ..., "saml_accounts": ...},
        {"email_addresses": [{"id": "idn_1", "email_address": "a@example.org", "verification": {"status": "new"}}]},
        {"email_addresses": [{"id": "idn_1", "email_address": "a@example.org", "verification": {"object": "unheard"}}]},
        {"unheard_of": {"a": 1}},
        {"locale": 7, "external_accounts": "odd"},
    ],
)
async def test_what_the_sdk_refuses_in_fields_that_are_not_kept_does_not_matter(drift):
    user = {name: value for name, value in user_payload(USER, **drift).items() if value is not ...}

    async with clerk(http(200, user)) as (_, adapter):
        snapshot = await adapter.get(USER)

    assert snapshot == snapshot_of(encoded(user), timestamp=READ_AT_MS)


async def test_nothing_private_is_in_what_was_read():
    user = user_payload(USER, private_metadata={"a": "CANARY"}, unsafe_metadata={"a": "CANARY"}, unheard_of="CANARY")

    async with clerk(http(200, user)) as (_, adapter):
        snapshot = await adapter.get(USER)

    assert "CANARY" not in repr(snapshot) + repr(asdict(snapshot))


async def test_a_user_that_clerk_does_not_know_is_none():
    async with clerk(http(404)) as (fake, adapter):
        assert await adapter.get(USER) is None

    assert len(fake.requests) == 1


async def test_a_user_deleted_between_two_questions_is_none():
    async with clerk(http(200, user_payload(USER)), http(404)) as (_, adapter):
        assert await adapter.get(USER) is not None
        assert await adapter.get(USER) is None


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_a_fault_of_ours_and_says_what_to_check(status):
    assert await failure(http(status)) == (
        f"Clerk: credentials refused (it answered {status}: check CLERK_SECRET_KEY)",
        1,
    )


@pytest.mark.parametrize("said", ["1", "", "soon", "-5", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_limit_is_waited_out_for_as_long_as_clerk_says_and_a_second_when_it_says_nothing_clear(said):
    began = asyncio.get_running_loop().time()

    async with clerk(http(429, headers=f"retry-after: {said}\r\n"), http(200, user_payload(USER))) as (fake, adapter):
        assert await adapter.get(USER) is not None

    assert asyncio.get_running_loop().time() - began >= 1
    assert len(fake.requests) == 2


@pytest.mark.parametrize("said", ["4", "99999999999999", "9" * 300])
async def test_a_limit_beyond_the_effort_is_told_at_once_and_nobody_else_asks_meanwhile(said):
    async with clerk(http(429, headers=f"retry-after: {said}\r\n")) as (fake, adapter):
        for _ in range(3):
            with pytest.raises(ClerkLimitedError) as limited:
                await adapter.get(USER)

    assert len(fake.requests) == 1
    assert 1 <= limited.value.retry_after_s <= 3600


@each_row("status", [400, 402, 409, 410, 422, 204, 206])
async def test_any_other_answer_is_no_verdict(status):
    body = b"" if status == 204 else None

    assert await failure(http(status, body)) == (f"Clerk: no usable answer (it answered {status})", 1)


async def test_a_redirect_is_not_followed_with_the_key():
    answer = http(302, b"", headers="location: http://127.0.0.1:9/v1/users/user_1\r\n")

    assert await failure(answer) == ("Clerk: no usable answer (it answered 302)", 1)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_fault_at_clerk_is_tried_once_more(status):
    assert await failure(http(status)) == (f"Clerk: no usable answer (it answered {status})", 2)
    assert await failure(http(status, b"<html>", content_type="text/html")) == (
        f"Clerk: no usable answer (it answered {status})",
        2,
    )


@pytest.mark.parametrize("passing", [http(500), reset, cut_short, no_http])
async def test_what_passes_by_itself_is_not_noticed(passing):
    async with clerk(passing, http(200, user_payload(USER))) as (fake, adapter):
        snapshot = await adapter.get(USER)

    assert snapshot.id == USER
    assert len(fake.requests) == 2


async def test_the_second_answer_counts_also_when_it_says_that_there_is_nobody():
    async with clerk(reset, http(404)) as (_, adapter):
        assert await adapter.get(USER) is None


@pytest.mark.parametrize("broken", [reset, cut_short, no_http])
async def test_a_connection_that_breaks_twice_is_out_of_reach(broken):
    message, requests = await failure(broken)

    assert message.startswith("Clerk: out of reach (")
    assert requests == 2


async def test_nobody_listening_is_out_of_reach():
    async with clerk(reset) as (fake, _):
        pass
    adapter = identities(fake.url)

    with pytest.raises(ClerkUnavailableError, match=r"out of reach \(ConnectError"):
        await adapter.get(USER)
    await adapter.aclose()


@pytest.mark.parametrize("slow", [silence, dribble])
async def test_an_answer_that_takes_too_long_is_not_waited_for(slow):
    assert await failure(slow, effort=RetryBudget(attempts=2, budget_s=0.2)) == (
        "Clerk: no answer in time (0.2 s)",
        1,
    )


async def test_the_second_attempt_is_inside_the_same_time():
    assert await failure(http(500), silence, effort=RetryBudget(attempts=2, budget_s=1.0)) == (
        "Clerk: no answer in time (1 s)",
        2,
    )


@each_row(
    ("body", "problem"),
    [
        (b"", "data: Input data was truncated"),
        (b'{"id": "user_1"', "data: "),
        (b"<html>", "data: JSON is malformed"),
        (b"[]", "data: Expected `object`, got `array`"),
        (b"null", "data: Expected `object`, got `null`"),
        (b'{"deleted": true, "id": "user_1", "object": "user"}', "data: Object missing required field `created_at`"),
        (b'{"id": "user_1", "created_at": 1, "updated_at": 2, "username": "\xff"}', "data: not UTF-8"),
    ],
)
async def test_a_success_that_holds_no_user_is_no_verdict(body, problem):
    message, requests = await failure(http(200, body))

    assert message.startswith(f"Clerk: no usable answer (user: {problem}")
    assert requests == 1


async def test_a_page_instead_of_json_is_no_verdict():
    message, _ = await failure(http(200, b"<html>login</html>", content_type="text/html"))

    assert message.startswith("Clerk: no usable answer (user: data: JSON is malformed")


async def test_another_user_than_asked_for_is_never_returned():
    message, _ = await failure(http(200, user_payload("user_2")))

    assert message == "Clerk: no usable answer (it answered with another user)"


async def test_a_failure_leaves_nothing_behind_for_the_next_question():
    async with clerk(http(200, user_payload(USER)), reset, reset, http(200, user_payload(USER))) as (_, adapter):
        assert await adapter.get(USER) is not None
        with pytest.raises(ClerkUnavailableError):
            await adapter.get(USER)
        assert await adapter.get(USER) is not None


async def test_answers_to_questions_asked_at_once_are_not_mixed_up():
    async def user_of_the_path(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user_id = fake.requests[-1][0].split()[1].rpartition("/")[2]
        await asyncio.sleep(0.05 if user_id.endswith("0") else 0)
        await http(200, user_payload(user_id))(reader, writer)

    ids = [UserId(f"user_{number}") for number in range(20)]
    async with clerk(user_of_the_path) as (fake, adapter):
        snapshots = await asyncio.gather(*(adapter.get(user_id) for user_id in ids))

    assert [snapshot.id for snapshot in snapshots] == ids


async def test_the_key_is_in_no_repr():
    async with clerk(http(200, user_payload(USER))) as (_, adapter):
        shown = repr(adapter) + repr(vars(adapter))

    assert KEY not in shown


async def test_an_error_of_clerk_is_not_repeated_to_ours():
    message, _ = await failure(http(400, json.dumps({"errors": [{"message": "CANARY", "code": "c"}]}).encode()))

    assert "CANARY" not in message


async def test_without_a_key_nobody_is_asked():
    with pytest.raises(ClerkNotConfiguredError):
        await ClerkIdentities(BackendApi(None, "https://api.clerk.com"), INTERACTIVE, now_ms=lambda: READ_AT_MS).get(
            USER
        )


NOT_ABOUT_THE_USER = b'{"errors": [{"message": "m", "code": "instance_not_found"}]}'


@pytest.mark.parametrize("body", [b"", b"<html>nginx</html>", b"{}", b'{"error": "no route"}', NOT_ABOUT_THE_USER])
async def test_a_404_that_is_not_clerks_own_is_no_word_on_the_user(body):
    assert await failure(http(404, body)) == ("Clerk: no usable answer (it answered 404)", 1)


async def test_an_answer_without_end_is_cut(monkeypatch):
    monkeypatch.setattr(response_capture, "LARGEST_BYTES", 10_000)
    message, _ = await failure(http(200, b" " * 20_000))

    assert message == "Clerk: out of reach (ReadError)"
