"""Webhooks as Svix sends them for Clerk: at least once, retried for a day, in no particular order."""

import asyncio
import heapq
import random
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
import msgspec
from attrs import evolve, field, frozen, validators

from devkit.fake_clerk.samples import sample_event
from devkit.fake_clerk.signing import sign_webhook

SVIX_SCHEDULE_S = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
"""Seconds before each attempt, from the one before (Svix docs, "Retries")."""

ANSWER_S = 15.0
"""How long Svix waits for a 2xx."""

REMEMBERED = 10_000
"""Attempts that are kept, to be shown."""

_share = [validators.ge(0.0), validators.le(1.0)]


@frozen(kw_only=True)
class Endpoint:
    """Where webhooks go; with several secrets each is signed by all, as Svix does for a day after a rotation."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)


@frozen(kw_only=True)
class Disorder:
    """What the network does to messages: shares of them, drawn by `seed`."""

    drop_share: float = field(default=0.0, validator=_share)
    """Never sent."""
    duplicate_share: float = field(default=0.0, validator=_share)
    """Sent twice, under one `svix-id`."""
    reorder_share: float = field(default=0.0, validator=_share)
    """Sent up to `reorder_within_s` late, so that later ones overtake it."""
    reorder_within_s: float = field(default=0.5, validator=validators.ge(0))
    seed: int = 0


@frozen(kw_only=True)
class DeliveryAttempt:
    """An attempt to deliver a message, and what came of it: the status, or the name of the failure."""

    svix_id: str
    event: str
    user_id: str
    url: str
    number: int
    outcome: int | str

    @property
    def succeeded(self) -> bool:
        return isinstance(self.outcome, int) and 200 <= self.outcome < 300  # noqa: PLR2004


@frozen(kw_only=True)
class _Message:
    svix_id: str
    event: str
    user_id: str
    body: bytes = field(repr=False)
    endpoint: Endpoint
    number: int = 1


class WebhookSender:
    """Sends each event to each endpoint until it was taken.

    May be told events from any thread; they go out while `run` runs.

    Args:
        endpoints: where to.
        now_s: the clock that signatures carry, seconds since 1970.
        schedule_s: seconds before each attempt; as many attempts as entries.
        concurrency: attempts at a time; 1 keeps the order of events as long as each is taken at once.
        capacity: messages that may wait; more are lost and counted in `overflowed`.
        on_attempt: hears of each attempt.
    """

    def __init__(  # noqa: PLR0913  # all but one have a default
        self,
        endpoints: Sequence[Endpoint],
        *,
        now_s: Callable[[], float],
        schedule_s: Sequence[float] = SVIX_SCHEDULE_S,
        concurrency: int = 8,
        capacity: int = 100_000,
        on_attempt: Callable[[DeliveryAttempt], None] | None = None,
    ) -> None:
        self.endpoints = tuple(endpoints)
        self.schedule_s = tuple(schedule_s)
        self.attempts: deque[DeliveryAttempt] = deque(maxlen=REMEMBERED)
        self.overflowed = 0
        self._concurrency = concurrency
        self._capacity = capacity
        self._now_s = now_s
        self._on_attempt = on_attempt
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, _Message]] = []
        self._under_way = 0
        self._sequence = 0
        self._paused = False
        self._disorder = Disorder()
        self._chance = random.Random(0)  # noqa: S311  # the same seed, the same disorder
        self._wake: Callable[[], object] = lambda: None
        self._clock: Callable[[], float] = lambda: 0.0

    @property
    def disorder(self) -> Disorder:
        return self._disorder

    @disorder.setter
    def disorder(self, disorder: Disorder) -> None:
        with self._lock:
            self._disorder, self._chance = disorder, random.Random(disorder.seed)  # noqa: S311

    @property
    def paused(self) -> bool:
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        """Hold everything back, or let it go."""
        self._paused = paused
        self._wake()

    @property
    def pending(self) -> int:
        """Deliveries that are neither taken nor given up."""
        with self._lock:
            return len(self._waiting) + self._under_way

    def send(self, event: str, data: Mapping[str, Any], happened_ms: int) -> None:
        """Have an event delivered."""
        body = msgspec.json.encode(sample_event(event, dict(data), timestamp_ms=happened_ms))
        svix_id = f"msg_{secrets.token_hex(13)}"
        user_id = str(data.get("user_id") or data.get("id"))
        with self._lock:
            disorder, chance = self._disorder, self._chance
            for endpoint in self.endpoints:
                # Four draws each time, so that a share does not change what another one draws.
                drop, twice, late, how_late = (chance.random() for _ in range(4))
                if drop < disorder.drop_share:
                    continue
                message = _Message(
                    svix_id=svix_id,
                    event=event,
                    user_id=user_id,
                    body=body,
                    endpoint=endpoint,
                )
                delay_s = how_late * disorder.reorder_within_s if late < disorder.reorder_share else 0.0
                for extra_s in (0.0, disorder.reorder_within_s)[: 2 if twice < disorder.duplicate_share else 1]:
                    self._enqueue(message, self.schedule_s[0] + delay_s + extra_s)
        self._wake()

    async def run(self) -> None:
        """Deliver until cancelled."""
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        self._clock = loop.time
        self._wake = lambda: loop.call_soon_threadsafe(wake.set)
        limits = httpx.Limits(max_connections=self._concurrency)
        try:
            async with (
                httpx.AsyncClient(timeout=ANSWER_S, limits=limits, trust_env=False) as http,
                asyncio.TaskGroup() as attempts,
            ):
                while True:
                    wake.clear()
                    message, wait_s = self._next()
                    if message is not None:
                        attempts.create_task(self._attempt(http, message))
                        continue
                    with suppress(TimeoutError):
                        await asyncio.wait_for(wake.wait(), wait_s)
        finally:
            self._wake = lambda: None

    def _enqueue(self, message: _Message, delay_s: float) -> None:
        if len(self._waiting) >= self._capacity:
            self.overflowed += 1
            return
        self._sequence += 1
        heapq.heappush(self._waiting, (self._clock() + delay_s, self._sequence, message))

    def _next(self) -> tuple[_Message | None, float | None]:
        """Return the next message, or else how long to wait for it; `None`: until something happens."""
        with self._lock:
            if self._paused or not self._waiting or self._under_way >= self._concurrency:
                return None, None
            due, _, message = self._waiting[0]
            if due > self._clock():
                return None, due - self._clock()
            heapq.heappop(self._waiting)
            self._under_way += 1
            return message, None

    async def _attempt(self, http: httpx.AsyncClient, message: _Message) -> None:
        retry_in_s: float | None = None
        try:
            outcome, headers = await self._post(http, message)
            attempt = DeliveryAttempt(
                svix_id=message.svix_id,
                event=message.event,
                user_id=message.user_id,
                url=message.endpoint.url,
                number=message.number,
                outcome=outcome,
            )
            self.attempts.append(attempt)
            if self._on_attempt:
                self._on_attempt(attempt)
            if not attempt.succeeded and headers.get("webhook-delivery") != "abort-message":
                retry_in_s = self._retry_in_s(message.number, headers.get("retry-after"))
        finally:
            with self._lock:
                self._under_way -= 1
                if retry_in_s is not None:
                    self._enqueue(evolve(message, number=message.number + 1), retry_in_s)
            self._wake()

    async def _post(self, http: httpx.AsyncClient, message: _Message) -> tuple[int | str, Mapping[str, str]]:
        headers = {"content-type": "application/json", **self._signature(message)}
        try:
            answer = await http.post(message.endpoint.url, content=message.body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__, {}
        return answer.status_code, answer.headers

    def _signature(self, message: _Message) -> dict[str, str]:
        now_s = int(self._now_s())
        signed = [sign_webhook(secret, message.svix_id, now_s, message.body) for secret in message.endpoint.secrets]
        return {**signed[0], "svix-signature": " ".join(headers["svix-signature"] for headers in signed)}

    def _retry_in_s(self, attempts: int, retry_after: str | None) -> float | None:
        if attempts >= len(self.schedule_s):
            return None
        base_s = self.schedule_s[attempts]
        if retry_after and retry_after.isascii() and retry_after.isdigit():
            # Svix heeds it between the usual wait and twice that.
            return min(max(float(retry_after[:9]), base_s), 2 * base_s)
        return base_s
