"""Users as Clerk's Backend API has them, for those whose webhook has not arrived."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from http import HTTPStatus

import httpx

from adapters.clerk.payloads import snapshot_of
from application.errors import IdentityProviderUnavailableError, UnusableWebhookError
from domain.snapshot import Snapshot
from domain.user import UserId

TIMEOUT_S = 3.0
"""For one answer, the second attempt included: somebody is waiting on `/v1/me`."""

RETRY_AFTER_S = 0.1
"""Before the second and last attempt."""

_answer: ContextVar[httpx.Response] = ContextVar("clerk_answer")


class NoIdentities:
    """Fills `application.ports.IdentityProvider` when no Clerk key is configured: nobody may be asked."""

    async def get(self, user_id: UserId) -> None:  # noqa: ARG002  # the port's signature
        return None


class ClerkIdentities:
    """Fills `application.ports.IdentityProvider` with the Clerk SDK.

    The SDK makes the request; its answer is read as raw JSON, because the SDK's models refuse a 200 at the first
    field that Clerk left out or set to null (`public_metadata: null`, no `passkeys`).

    Args:
        secret_key: `sk_…`; it goes into requests and nowhere else.
        api_url: Clerk's Backend API, with or without its `/v1`.
        now_ms: the clock, milliseconds since 1970.
    """

    def __init__(self, secret_key: str, api_url: str, *, now_ms: Callable[[], int]) -> None:
        # Most commands do without the SDK, which takes most of a second to import; `serve` takes it here, before it
        # listens, and not in the middle of the first request that needs it.
        from clerk_backend_api import Clerk, models  # noqa: PLC0415

        self._now_ms = now_ms
        self._http = httpx.AsyncClient(event_hooks={"response": [_keep]})
        self._users = Clerk(
            bearer_auth=secret_key,
            server_url=api_url.rstrip("/").removesuffix("/v1") + "/v1",
            async_client=self._http,
            retry_config=None,  # its own would go on for an hour
        ).users
        self._sdk_error = models.ClerkBaseError
        _ = models.User  # imported on first use

    async def get(self, user_id: UserId) -> Snapshot | None:
        read_at = self._now_ms()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._ask_twice(user_id)
        except TimeoutError:
            raise IdentityProviderUnavailableError(f"Clerk's API did not answer within {TIMEOUT_S:g} s") from None
        except httpx.HTTPError as error:
            raise IdentityProviderUnavailableError(f"Clerk's API is out of reach: {type(error).__name__}") from None

        match answer.status_code:
            case HTTPStatus.OK:
                return _snapshot(user_id, answer.content, read_at)
            case HTTPStatus.NOT_FOUND:
                return None
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN as status:
                raise IdentityProviderUnavailableError(f"Clerk's API answered {status}: check CLERK_SECRET_KEY")
            case status:
                raise IdentityProviderUnavailableError(f"Clerk's API answered {status}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask_twice(self, user_id: UserId) -> httpx.Response:
        """Ask again, once, after what passes by itself: a connection that broke (or had gone stale) and a 5xx."""
        try:
            answer = await self._ask(user_id)
        except httpx.TransportError:
            pass
        else:
            if not answer.is_server_error:
                return answer
        await asyncio.sleep(RETRY_AFTER_S)
        return await self._ask(user_id)

    async def _ask(self, user_id: UserId) -> httpx.Response:
        # Whether the SDK returns a model or raises an error of its own, there was a response, and it says more.
        with suppress(self._sdk_error):
            await self._users.get_async(user_id=user_id)
        return _answer.get()


async def _keep(response: httpx.Response) -> None:
    """Hand the response to the task that waits for it; the SDK returns a model only."""
    _answer.set(response)


def _snapshot(user_id: UserId, body: bytes, read_at: int) -> Snapshot:
    try:
        snapshot = snapshot_of(body, timestamp=read_at)
    except UnusableWebhookError as error:
        raise IdentityProviderUnavailableError(f"Clerk's API answered no usable user: {error}") from None
    if snapshot.id != user_id:
        raise IdentityProviderUnavailableError("Clerk's API answered with another user")
    return snapshot
