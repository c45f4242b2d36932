"""How Clerk is asked: what one question may cost the others, and what was never sent is never taken for done."""

import asyncio

import pytest

from adapters.clerk import backend_api
from adapters.clerk.backend_api import BackendApi, RetryBudget
from adapters.clerk.identities import BACKGROUND
from application.errors import (
    ClerkLimitedError,
    ClerkUnavailableError,
    UserUnknownError,
)
from devkit.fake_clerk.rate_limits import RateLimits
from domain.user import UserId
from support.asking_clerk import ADA, GRACE, provider
from support.clerk_stand_in import running_stand_in


async def test_the_limit_of_one_users_metadata_keeps_nobody_from_asking_about_others():
    with running_stand_in(limits=RateLimits(requests=None, changes_per_user=1), now_ms=lambda: 0) as clerk:
        for user in (ADA, GRACE):
            clerk.instance.create(user)
        api = BackendApi(clerk.secret_key, clerk.url)
        await provider(api).merge_public_metadata(ADA, {"n": 1})
        with pytest.raises(ClerkLimitedError):
            await provider(api).merge_public_metadata(ADA, {"n": 2})

        assert (await provider(api).get(GRACE)).id == GRACE
        await api.aclose()


async def test_a_huge_retry_after_is_told_but_keeps_others_waiting_no_longer_than_clerk_counts(clerk, api):
    clerk.fails("status", status=429, retry_after_s=999_999, times=1)
    with pytest.raises(ClerkLimitedError) as limited:
        await provider(api).get(ADA)
    with pytest.raises(ClerkLimitedError) as others:
        await provider(api).get(GRACE)

    assert limited.value.retry_after_s == 3600
    assert others.value.retry_after_s <= 10


async def test_a_deletion_that_waited_for_its_turn_is_not_taken_for_one_that_was_sent(clerk, monkeypatch):
    monkeypatch.setattr(backend_api, "ATTEMPT_S", 0.5)
    api = BackendApi(clerk.secret_key, clerk.url)
    api._throttle.close_for(0.7)

    with pytest.raises(UserUnknownError):
        await provider(api, BACKGROUND).delete(UserId("user_never"))
    await api.aclose()
    assert [asked.method for asked in clerk.requests] == ["DELETE"]


async def test_who_gets_no_turn_hears_that_and_nothing_is_sent(clerk, api):
    turns = asyncio.Semaphore(1)
    api._at_once = turns
    await turns.acquire()

    with pytest.raises(ClerkUnavailableError, match="wait already"):
        await provider(api, RetryBudget(attempts=2, budget_s=0.1)).delete(ADA)
    assert clerk.requests == []
    turns.release()
    assert (await provider(api).get(ADA)).id == ADA


async def test_a_turn_is_given_back_whatever_becomes_of_the_question(clerk, api):
    api._at_once = asyncio.Semaphore(1)
    for kind in ("reset", "malformed", "html", "truncated"):
        clerk.fails(kind, times=2)
        with pytest.raises(ClerkUnavailableError):
            await provider(api).get(ADA)
        clerk.faults.clear()
    clerk.fails("latency", delay_s=5, times=1)
    leaving = asyncio.create_task(provider(api).get(ADA))
    await asyncio.sleep(0.1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    assert (await provider(api).get(GRACE)).id == GRACE
