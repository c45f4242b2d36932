"""Refuse tokens of ended sessions and of banned or deleted users, without a network call for each request."""

import asyncio
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, Self

import attrs
from faststream.security import BaseSecurity

from anomalyze_auth._following import Following, Record, TopicChangedError, TopicMissingError, follow
from anomalyze_auth._revoked import Revoked
from anomalyze_auth.errors import RevocationsUnavailable, TokenRejected
from anomalyze_auth.events import TOPIC, UnknownEvent, UnusableEvent, decode
from anomalyze_auth.identity import Authenticated
from anomalyze_auth.kafka.security import client_options
from anomalyze_auth.problems import REVOKED
from anomalyze_auth.sessions import SESSION_TOPIC, decode_session

_LOG = logging.getLogger(__name__)

_MARGIN_S = 30.0
"""Added to the window, for differing clocks of relay and Clerk and for the verifier's leeway."""
_AGAIN_S = 0.5
_CAUSES_AT_MOST = 100
"""Different causes of skipped records that are logged; a topic full of bad records must not fill the log."""


@attrs.frozen(kw_only=True)
class RevocationsState:
    """The state of `Revocations`, for health checks and metrics. Counts are since the start.

    Attributes:
        current: whether `behind_seconds` is within the bound and nothing was dropped.
        behind_seconds: see `Revocations.fresh`.
        sessions: revoked sessions in memory.
        users: users in memory, those who are neither banned nor deleted included.
        refused: refused tokens, by reason: `session-revoked`, `user-deleted`, `user-banned`.
        stale_refused, stale_allowed: other tokens that were refused or accepted while not current, by `when_stale`.
        skipped: records that were skipped, by cause: `unknown` type, `unusable`, `unreadable`.
        dropped: events that exceeded `most`.
        failures: how often reading failed and was restarted.
        last_error: why reading failed last; None while it works.
    """

    current: bool
    behind_seconds: float
    sessions: int
    users: int
    refused: Mapping[str, int]
    stale_refused: int
    stale_allowed: int
    skipped: Mapping[str, int]
    dropped: int
    failures: int
    last_error: str | None


class Revocations:
    """Follows the events about ended sessions and banned or deleted users; pass it to a `SessionVerifier`.

    It reads both topics from `window` seconds ago on, without a consumer group; nothing is stored, and a restart
    reads the window again. Use one for each process, in one event loop: `async with Revocations(…)`, or `start` and
    `aclose`. Before `start` and after `aclose` it is stale.

    Why a window is enough: Clerk issues no token for an ended session, nor for a banned or deleted user, and ends
    the sessions of both. So only tokens that were issued before matter, and they expire after 60 s, plus the
    verifier's leeway. Older events concern no valid token. This also holds for a service whose clock is wrong,
    because it compares the token's times and the window with the same clock.
    If your instance issues tokens with a longer lifetime, set a longer `window`.

    How far behind it may be: several times a second it asks the brokers for the end offsets of the topics. Once it
    has read up to these it is current as of the time of the request. So idle topics are current, and if a broker does
    not answer, `fresh()` grows. All durations are measured with the monotonic clock.

    Args:
        bootstrap_servers: host:port each.
        security: as FastStream's `KafkaBroker` takes it.
        session_topic, user_topic: as configured in auth-service.
        window: seconds. Longer than the lifetime of a token, with room for differing clocks.
        stale_after: seconds behind, beyond which this is stale. The default is longer than the
            election of a new leader after a broker died.
        when_stale: "refuse" raises `RevocationsUnavailable` (503) for tokens that are valid otherwise. "allow" accepts
            them. Both are counted. Sessions and users that are known to be revoked are refused in either case.
        most: sessions and users in memory. Beyond that, events are dropped, and this is stale until the tokens that
            they concern have expired: `window` seconds.
        connection: further arguments of aiokafka's consumer: `client_id`, `client_rack`,
            `sasl_oauth_token_provider`.

    Raises:
        ValueError: a duration or number is out of range.
    """

    def __init__(  # noqa: PLR0913  (each is a separate decision)
        self,
        bootstrap_servers: str | Sequence[str],
        *,
        security: BaseSecurity | None = None,
        session_topic: str = SESSION_TOPIC,
        user_topic: str = TOPIC,
        window: float = 300.0,
        stale_after: float = 15.0,
        when_stale: Literal["refuse", "allow"] = "refuse",
        most: int = 1_000_000,
        **connection: Any,
    ) -> None:
        servers = bootstrap_servers.split(",") if isinstance(bootstrap_servers, str) else bootstrap_servers
        if when_stale not in {"refuse", "allow"}:
            raise ValueError('when_stale is "refuse" or "allow"')
        if not 0 < window < math.inf:
            raise ValueError("window is a number of seconds, more than 0")
        if not 1 <= stale_after < math.inf:  # brokers are asked several times a second, not more often
            raise ValueError("stale_after is a number of seconds, 1 or more")
        if most < 1:
            raise ValueError("most is 1 or more")
        if session_topic == user_topic:
            raise ValueError("session_topic and user_topic are the same")
        self._servers = [server.strip() for server in servers]
        self._session_topic = session_topic
        self._user_topic = user_topic
        self._security = security
        self._connection = connection
        self._kept = window + _MARGIN_S
        self._stale_after = stale_after
        self._refuse_when_stale = when_stale == "refuse"
        self._clock = time.monotonic
        self._revoked = Revoked(keep=self._kept, most=most)
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._known_as_of = self._stale_from = -math.inf
        self._refused: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._causes: set[str] = set()
        self._stale_refused = self._stale_allowed = self._failures = 0
        self._last_error: str | None = None

    async def start(self, timeout: float = 10.0) -> RevocationsState:  # noqa: ASYNC109  (on time-out it goes on)
        """Start reading; return once everything published before is read, or stale after `timeout` seconds.

        After a timeout it goes on in the background until it succeeds, and logs the cause.

        Raises:
            RuntimeError: it was started before.
        """
        if self._task is not None:
            raise RuntimeError("Revocations can be started once")
        self._task = asyncio.create_task(self._follow(), name="anomalyze-auth revocations")
        try:
            async with asyncio.timeout(timeout):
                await self._first.wait()
        except TimeoutError:
            _LOG.warning(
                "which sessions are revoked is not known after %g s; valid tokens are %s until it is: %s",
                timeout,
                "answered 503" if self._refuse_when_stale else "accepted",
                self._last_error or "still reading",
            )
        except asyncio.CancelledError:
            await self.aclose()
            raise
        return self.state

    async def aclose(self) -> None:
        """Stop reading. From then on it is stale."""
        self._stale_from = self._known_as_of = -math.inf
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._stale_from = self._known_as_of = -math.inf

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def check(self, caller: Authenticated) -> None:
        """Return if the caller is not known to be revoked. Call it again in long-lived connections such as WebSockets.

        Raises:
            TokenRejected: the session was revoked, or the user deleted or banned.
            RevocationsUnavailable: not current, and `when_stale` is "refuse".
        """
        reason = self._revoked.verdict(caller.session_id, caller.user_id)
        if reason is not None:
            self._refused[reason] += 1
            raise TokenRejected(reason, REVOKED[reason].detail)
        if self._clock() >= self._stale_from:
            if self._refuse_when_stale:
                self._stale_refused += 1
                raise RevocationsUnavailable(self._last_error or "recent revocations are not known yet")
            self._stale_allowed += 1

    def fresh(self) -> float:
        """How many seconds it may be behind: older events have been read. Infinite before the first time."""
        now = self._clock()
        return math.inf if now < self._revoked.overflow_until else now - self._known_as_of

    @property
    def state(self) -> RevocationsState:
        behind = self.fresh()
        return RevocationsState(
            current=behind < self._stale_after,
            behind_seconds=behind,
            sessions=self._revoked.sessions,
            users=self._revoked.users,
            refused=MappingProxyType({reason: self._refused[reason] for reason in REVOKED}),
            stale_refused=self._stale_refused,
            stale_allowed=self._stale_allowed,
            skipped=MappingProxyType({cause: self._skipped[cause] for cause in ("unknown", "unusable", "unreadable")}),
            dropped=self._revoked.dropped,
            failures=self._failures,
            last_error=self._last_error,
        )

    async def _follow(self) -> None:
        skip = partial(self._skip, "unreadable", "a record with a header whose name is not UTF-8")
        rest, clock = self._revoked.forget, self._clock
        following = Following(take=self._take, skip=skip, known=self._known, rest=rest, clock=clock)
        topics = (self._session_topic, self._user_topic)
        while True:
            try:
                connection = client_options(self._security) | self._connection  # each time: a password may have changed
                await follow(self._servers, topics, time.time() - self._kept, following, **connection)
            except TopicChangedError as changed:
                _LOG.info("reading revocations again after an error: %s", changed)
            except TopicMissingError as missing:
                self._failed(f"there is no topic {missing}, or it may not be read")
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                self._failed("the client gave up")  # a task of the client was cancelled, not this one
            except Exception as error:  # noqa: BLE001  (whatever it is, reading must not end)
                self._failed(f"{type(error).__name__}: {error}")
            self._revoked.forget(self._clock())
            await asyncio.sleep(_AGAIN_S * (1 + random.random()))  # noqa: S311  # no secret

    def _take(self, record: Record, now: float) -> None:
        of_sessions = record.topic == self._session_topic
        try:
            event = (decode_session if of_sessions else decode)(record.headers, record.value)
        except UnusableEvent as unusable:
            self._skip("unusable", f"a record of {record.topic} that is no event: {unusable}")
            return
        if isinstance(event, UnknownEvent):
            self._skip("unknown", f"an event of {record.topic} of the unknown type {event.type[:100]!r}")
            return
        self._revoked.apply(event, now)
        if self._revoked.overflow_until > now:
            if self._stale_from > -math.inf:
                _LOG.error("more sessions and users than `most`: new events are dropped until older ones expire")
            self._stale_from = -math.inf

    def _skip(self, kind: str, cause: str) -> None:
        self._skipped[kind] += 1
        if cause not in self._causes and len(self._causes) < _CAUSES_AT_MOST:
            self._causes.add(cause)
            _LOG.warning("skipped %s", cause)

    def _known(self, as_of: float) -> None:
        if self._last_error is not None or not self._first.is_set():
            _LOG.log(logging.WARNING if self._last_error else logging.INFO, "revocations are known up to now")
        self._last_error = None
        self._known_as_of = as_of
        self._stale_from = -math.inf if self._clock() < self._revoked.overflow_until else as_of + self._stale_after
        self._first.set()

    def _failed(self, error: str) -> None:
        self._failures += 1
        if self._last_error is None:
            _LOG.warning("revocations cannot be followed: %s", error)
        self._last_error = error
