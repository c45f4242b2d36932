"""Access tokens for SASL OAUTHBEARER: cached until shortly before they expire, with one fetch at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum

import attrs
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

FETCH_S = 5.0  # timeout of fetching one token, in total
RETRY_S = 1.0  # time without a new fetch after a failure, because many connections fail at once


class TokenFault(Enum):
    """Why there is no token, by who has to repair it."""

    OUT_OF_REACH = "out of reach"  # no connection, or no answer in time
    REFUSED = "refused"  # client id, secret, scope or AWS credentials are not accepted
    UNUSABLE = "unusable answer"  # the answer is not that of a token endpoint


class TokenUnavailable(KafkaError):  # type: ignore[misc]  # noqa: N818  # aiokafka's errors have no types
    """No access token could be fetched; the message names the endpoint and the cause, and no secret.

    aiokafka treats it as a failed connection, and retries.
    """

    retriable = True

    def __init__(self, message: str, fault: TokenFault) -> None:
        super().__init__(message)
        self.fault = fault

    def __str__(self) -> str:
        return str(self.args[0])


@attrs.frozen
class AccessToken:
    text: str = attrs.field(repr=False)
    lifetime_s: float


Fetch = Callable[[], Awaitable[AccessToken]]


class AccessTokens(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types
    """A token provider for aiokafka, with any function that fetches a token.

    A token is used for four fifths of its lifetime. After that a new connection fetches a new one; if that fails, the
    old one is used until it expires. There is never more than one fetch at a time.

    Args:
        fetch: raises `TokenUnavailable`.
        extensions: SASL extensions (RFC 7628 3.1), sent with each token.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        extensions: Mapping[str, str] = {},
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._extensions = dict(extensions)
        self._clock = clock
        self._fetching: asyncio.Task[None] | None = None
        self._token: AccessToken | None = None
        self._fetched_at = 0.0
        self._failure: TokenUnavailable | None = None
        self._failed_at = 0.0

    def extensions(self) -> dict[str, str]:
        """See `AbstractTokenProvider`."""
        return self._extensions

    async def token(self) -> str:
        """A valid token; TokenUnavailable: there is none, and why."""
        if (token := self._living(0.8)) is None:
            if self._failure is None or self._clock() - self._failed_at >= RETRY_S:
                # Not awaited directly: a caller that is cancelled must not cancel the fetch that others wait for.
                await asyncio.wait([self._start()])
            token = self._living(1.0)
        if token is None:
            # A new error for each caller: a shared one would collect all their tracebacks.
            failure = self._failure or TokenUnavailable("the fetch was given up", TokenFault.OUT_OF_REACH)
            raise TokenUnavailable(str(failure), failure.fault)
        return token

    def forget(self) -> None:
        """Fetch a new token next time, because a broker refused this one."""
        self._token = None

    def _living(self, share: float) -> str | None:
        token = self._token
        if token is None or self._clock() - self._fetched_at >= token.lifetime_s * share:
            return None
        return token.text

    def _start(self) -> "asyncio.Task[None]":
        # A task of an event loop that has ended is done too.
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._run())
        return self._fetching

    async def _run(self) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(FETCH_S):
                token = await self._fetch()
        except TimeoutError:
            self._failed(TokenUnavailable(f"no token within {FETCH_S:g} s", TokenFault.OUT_OF_REACH))
        except TokenUnavailable as failure:
            self._failed(failure)
        else:
            self._token, self._fetched_at, self._failure = token, began, None

    def _failed(self, failure: TokenUnavailable) -> None:
        self._failure, self._failed_at = failure, self._clock()
