"""Where a question may go, what a 404 may say, and how long all of an action may take."""

from functools import partial

import pytest

from adapters.clerk import response_capture
from adapters.clerk.backend_api import RetryBudget
from adapters.clerk.identities import BACKGROUND
from application.errors import (
    ClerkRefusedError,
    ClerkUnavailableError,
)
from domain.session import SessionId
from domain.user import InvalidUserIdError, UserId
from support.asking_clerk import ADA, provider


async def test_revoking_many_slow_sessions_ends_in_the_time_of_the_effort_and_goes_on_when_asked_again(clerk, api):
    for _ in range(4):
        clerk.instance.sign_in(ADA)
    clerk.fails("latency", delay_s=0.3, method="POST")

    first: list[SessionId] = []
    with pytest.raises(ClerkUnavailableError, match="and there are more"):
        await provider(api, RetryBudget(attempts=2, budget_s=0.8)).revoke_sessions(ADA, first.append)
    clerk.faults.clear()
    rest: list[SessionId] = []
    await provider(api, BACKGROUND).revoke_sessions(ADA, rest.append)

    assert first
    assert len({*first, *rest}) == 4
    assert len(rest) < 4
    assert clerk.instance.sessions(user_id=ADA, status="active") == []


@pytest.mark.parametrize("bent", ["../sessions/x", "user_1/../user_2", "user_1?x=1", "", "user_", "user_ada\n"])
async def test_an_id_that_would_bend_the_path_is_refused_before_anything_is_sent(clerk, api, bent):
    asks = provider(api)
    for ask in (
        asks.get,
        partial(asks.set_banned, banned=True),
        partial(asks.set_locked, locked=True),
        partial(asks.merge_public_metadata, patch={}),
        asks.active_sessions,
        partial(asks.revoke_sessions, ended=lambda _: None),
        asks.delete,
    ):
        with pytest.raises(InvalidUserIdError):
            await ask(UserId(bent))

    assert clerk.requests == []


async def test_an_error_nested_without_end_is_an_error_like_any_other(clerk, api, monkeypatch):
    nested = b'{"a":' * 3000 + b"1" + b"}" * 3000

    async def ask(*_: object, **__: object) -> response_capture.ClerkResponse:
        return response_capture.ClerkResponse(status=422, body=nested, unclear=False)

    monkeypatch.setattr(api, "ask", ask)

    with pytest.raises(ClerkUnavailableError, match="422"):
        await provider(api).set_banned(ADA, banned=True)


async def test_a_404_about_something_else_deletes_nobody_and_is_told_with_its_code(clerk, api):
    clerk.fails("status", status=404, code="instance_not_found")

    with pytest.raises(ClerkUnavailableError):
        await provider(api).get(ADA)
    with pytest.raises(ClerkRefusedError) as refused:
        await provider(api).delete(ADA)
    assert refused.value.codes == ("instance_not_found",)
