"""Requests to Clerk's Backend API: through its official SDK, bounded in time, number and size.

The SDK makes each request; the answer is read as raw JSON, because the SDK's models refuse a 200 at the first
field that Clerk left out or set to null (ADR 0015).
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx
from attrs import evolve, frozen

from adapters.clerk.connectivity import cause_of
from adapters.clerk.response_capture import ClerkResponse, KeepingClient, received
from adapters.clerk.throttle import WINDOW_S, Throttle
from application.errors import ClerkLimitedError, ClerkNotConfiguredError, ClerkUnavailableError
from application.failure import Cause

if TYPE_CHECKING:
    from clerk_backend_api import Clerk

AT_ONCE = 16  # concurrent requests, and connections
ATTEMPT_S = 10.0  # for one answer, its last byte included

LIVE, TEST = 1000, 100
"""Requests in ten seconds that Clerk allows a production and a development instance (Clerk, System limits)."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0  # between attempts: doubling, with jitter; after a 429 Clerk's Retry-After

_LONGEST_RETRY_AFTER_S = 3600.0
_DIGITS = 9


@frozen(kw_only=True)
class RetryBudget:
    """How often and how long to try."""

    attempts: int
    budget_s: float  # for all attempts and the waits between them


class BackendApi:
    """One connection pool and one throttle for all requests of this process to Clerk.

    Args:
        secret_key: `sk_…`; used in requests only. Without one every request is refused.
        api_url: Clerk's Backend API, without its `/v1`.
    """

    def __init__(self, secret_key: str | None, api_url: str) -> None:
        self._throttle = Throttle(LIVE if (secret_key or "").startswith("sk_live_") else TEST)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._sdk: Clerk | None = None
        self._http: KeepingClient | None = None
        if secret_key is None:
            return
        # Most commands do not need the SDK, whose import takes most of a second; `serve` imports it here, before it
        # listens, not in the first request that needs it.
        import clerk_backend_api as sdk  # noqa: PLC0415

        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        tls = httpx.create_ssl_context()  # one for both clients: reading the certificate authorities takes 20 ms
        self._http = KeepingClient(
            verify=tls,
            limits=limits,
            timeout=ATTEMPT_S,
            headers={"accept-encoding": "identity"},  # compressed, an answer within the limit could expand beyond it
        )
        self._sdk = sdk.Clerk(
            bearer_auth=secret_key,
            server_url=f"{api_url}/v1",
            client=httpx.Client(verify=tls),  # not used; the SDK would create one
            async_client=self._http,
            retry_config=None,  # the default retries for an hour
        )
        self._sdk_error = sdk.models.ClerkBaseError
        _ = self._sdk.users, self._sdk.sessions, sdk.models.User, sdk.models.Session  # imported on first use

    async def ask(
        self, question: "Callable[[Clerk], Awaitable[object]]", effort: RetryBudget, *, limited_by_itself: bool = False
    ) -> ClerkResponse:
        """Retry until there is an answer other than 429 and 5xx; every request must be idempotent.

        With `limited_by_itself` a 429 does not apply to other requests: Clerk limits changes of metadata for each user
        too, 10 in 10 s (Clerk, System limits).

        Raises:
            ClerkNotConfiguredError: there is no secret key.
            ClerkLimitedError: Clerk demands a longer wait than the budget allows.
            ClerkUnavailableError: no such answer within the budget.
        """
        if self._sdk is None:
            raise ClerkNotConfiguredError("there is no CLERK_SECRET_KEY to ask Clerk with")
        ends = time.monotonic() + effort.budget_s
        unclear = False
        for attempt in range(1, effort.attempts + 1):
            left = ends - time.monotonic()
            if (closed := self._throttle.closed_for()) > left:
                raise _limited(closed)
            try:
                async with self._turn(left):
                    async with asyncio.timeout(min(ends - time.monotonic(), ATTEMPT_S)):
                        answer = await self._send(question(self._sdk))
            except (TimeoutError, httpx.HTTPError) as error:
                unclear = True
                cause, detail = cause_of(error)
                wait = _backoff(attempt)
                failure = ClerkUnavailableError(detail or f"{min(effort.budget_s, ATTEMPT_S):g} s", cause)
            else:
                if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                    wait = _seconds(answer.retry_after)
                    if not limited_by_itself:
                        # Other requests would get 429 too, but for no longer than Clerk's window: one header must not
                        # stop this process for an hour.
                        self._throttle.close_for(min(wait, WINDOW_S))
                    failure = _limited(wait)
                elif answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    unclear = True
                    wait = _backoff(attempt)
                    failure = ClerkUnavailableError(f"it answered {answer.status}", Cause.BAD_ANSWER)
                else:
                    return evolve(answer, unclear=unclear)
            if attempt == effort.attempts or time.monotonic() + wait > ends:
                raise failure from None
            await asyncio.sleep(wait)
        raise AssertionError  # an effort of no attempt

    async def aclose(self) -> None:
        if self._http:
            await self._http.aclose()

    @asynccontextmanager
    async def _turn(self, within_s: float) -> AsyncIterator[None]:
        """Wait for a turn, and hold it; on a timeout nothing was sent."""
        async with AsyncExitStack() as turn:
            try:
                async with asyncio.timeout(within_s):
                    await turn.enter_async_context(self._at_once)
                    await self._throttle.take()
            except TimeoutError:
                if (closed := self._throttle.closed_for()) > 0:
                    raise _limited(closed) from None
                raise ClerkUnavailableError("too many requests of this process wait already", Cause.BUSY) from None
            yield

    async def _send(self, asked: Awaitable[object]) -> ClerkResponse:
        received.set(None)
        # The SDK cannot parse the empty answer of `KeepingClient`, and raises.
        with suppress(self._sdk_error):
            await asked
        if (came := received.get()) is None:
            raise AssertionError("the SDK sent no request")
        return came


def _limited(wait_s: float) -> ClerkLimitedError:
    return ClerkLimitedError("it answered 429", retry_after_s=max(1, int(wait_s)))


def _backoff(attempt: int) -> float:
    return min(FIRST_WAIT_S * (1 << (attempt - 1)), LONGEST_WAIT_S) * random.uniform(0.5, 1)  # noqa: S311  # jitter


def _seconds(text: str) -> float:
    """Clerk sends seconds (Clerk, System limits); any other value counts as one."""
    seconds = int(text[:_DIGITS]) if text.isascii() and text.isdigit() else 1
    return min(float(seconds), _LONGEST_RETRY_AFTER_S) + random.uniform(0, 0.1)  # noqa: S311  # jitter
