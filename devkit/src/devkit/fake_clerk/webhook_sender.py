"""Sends webhooks as Svix does for Clerk: at least once, retried for a day, in no particular order."""

import asyncio
import heapq
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpx
import msgspec
from attrs import evolve

from devkit.fake_clerk.deliveries import (
    DROPPED,
    FORGERS_SECRET,
    MOST,
    MOST_BYTES,
    DeliveryAttempt,
    Disorder,
    Endpoint,
    Message,
)
from devkit.fake_clerk.samples import sample_event
from devkit.fake_clerk.signing import sign_webhook

SVIX_SCHEDULE_S = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
"""Seconds before each attempt, from the one before (Svix docs, "Retries")."""

ANSWER_S = 15.0
"""How long Svix waits for a 2xx."""

ATTEMPTS = 100
"""The last ones, for whoever asks."""

_ANSWER_BYTES = 64 * 1024
"""So much of an answer is read and kept."""

_dropping: ContextVar[bool] = ContextVar("dropping", default=False)


class WebhookSender:
    """Sends each event to each endpoint until it was taken.

    May be told events from any thread; they go out while `run` runs.

    Args:
        endpoints: where to.
        now_s: the clock that signatures carry, seconds since 1970.
        schedule_s: seconds before each attempt; as many attempts as entries.
        concurrency: attempts at a time; 1 keeps the order of events as long as each is taken at once.
        capacity: messages that may wait; more are lost and counted in `overflowed`.
        on_attempt: hears of each attempt, and of each message that is dropped.
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
        self.attempts: deque[DeliveryAttempt] = deque(maxlen=ATTEMPTS)
        self.overflowed = 0
        self._concurrency = concurrency
        self._capacity = capacity
        self._now_s = now_s
        self.on_attempt = on_attempt
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, Message]] = []
        self._messages: dict[str, Message] = {}
        self._bytes = 0
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
        dropped = []
        with self._lock:
            disorder, chance = self._disorder, self._chance
            for endpoint in self.endpoints:
                # Four draws each time, so that a share does not change what another one draws.
                drop, twice, late, how_late = (chance.random() for _ in range(4))
                message = Message(
                    svix_id=svix_id,
                    event=event,
                    user_id=user_id,
                    body=body,
                    endpoint=endpoint,
                )
                self._remember(message)
                if drop < disorder.drop_share or _dropping.get():
                    dropped.append(message)
                    continue
                delay_s = how_late * disorder.reorder_within_s if late < disorder.reorder_share else 0.0
                for extra_s in (0.0, disorder.reorder_within_s)[: 2 if twice < disorder.duplicate_share else 1]:
                    self._enqueue(message, self.schedule_s[0] + delay_s + extra_s)
        self._wake()
        for message in dropped:
            at_ms = int(self._now_s() * 1000)
            self.record(_attempt_of(evolve(message, number=0), outcome=DROPPED, at_ms=at_ms))

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """Drop what this thread or task sends in the block; each message is kept, and can be sent again."""
        token = _dropping.set(True)
        try:
            yield
        finally:
            _dropping.reset(token)

    def message(self, svix_id: str) -> Message | None:
        """Return a message that can be sent again."""
        return self._messages.get(svix_id)

    def send_again(self, svix_ids: Sequence[str], *, times: int = 1, forged: bool = False) -> None:
        """Send messages again, each `times` times, one after the other: the next one goes when the last was answered.

        Args:
            svix_ids: of messages that are remembered.
            times: of each.
            forged: sign with a secret that is not the endpoint's; such a message is never retried.

        Raises:
            KeyError: one of them is not remembered; nothing is sent.
        """
        message: Message | None = None
        with self._lock:
            for svix_id in reversed([svix_id for svix_id in svix_ids for _ in range(times)]):
                message = evolve(self._messages[svix_id], forged=forged, then=message)
            if message is not None:
                self._enqueue(message, 0.0)
        self._wake()

    def record(self, attempt: DeliveryAttempt) -> None:
        """Take note of an attempt; another program may have made it."""
        if attempt.svix_id not in self._messages and self.endpoints:
            with self._lock:
                self._remember(
                    Message(
                        svix_id=attempt.svix_id,
                        event=attempt.event,
                        user_id=attempt.user_id,
                        body=attempt.body,
                        endpoint=self.endpoints[0],
                    )
                )
        self.attempts.append(attempt)
        if self.on_attempt:
            self.on_attempt(attempt)

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

    def _remember(self, message: Message) -> None:
        if known := self._messages.get(message.svix_id):
            self._bytes -= len(known.body)
        self._messages[message.svix_id] = message
        self._bytes += len(message.body)
        while len(self._messages) > MOST or self._bytes > MOST_BYTES:
            self._bytes -= len(self._messages.pop(next(iter(self._messages))).body)

    def _enqueue(self, message: Message, delay_s: float) -> None:
        if len(self._waiting) >= self._capacity:
            self.overflowed += 1
            return
        self._sequence += 1
        heapq.heappush(self._waiting, (self._clock() + delay_s, self._sequence, message))

    def _next(self) -> tuple[Message | None, float | None]:
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

    async def _attempt(self, http: httpx.AsyncClient, message: Message) -> None:
        retry_in_s: float | None = None
        at_ms, began, trace_id = int(self._now_s() * 1000), time.perf_counter(), secrets.token_hex(16)
        try:
            outcome, headers, answer = await self._post(http, message, trace_id)
            attempt = _attempt_of(
                message,
                outcome=outcome,
                answer=answer,
                at_ms=at_ms,
                took_ms=(time.perf_counter() - began) * 1000,
                trace_id=trace_id,
            )
            if not (attempt.succeeded or message.forged or headers.get("webhook-delivery") == "abort-message"):
                retry_in_s = self._retry_in_s(message.number, headers.get("retry-after"))
            self.record(evolve(attempt, retry_in_s=retry_in_s))
        finally:
            with self._lock:
                self._under_way -= 1
                if retry_in_s is not None:
                    self._enqueue(evolve(message, number=message.number + 1, then=None), retry_in_s)
                if message.then is not None:
                    self._enqueue(message.then, 0.0)
            self._wake()

    async def _post(
        self, http: httpx.AsyncClient, message: Message, trace_id: str
    ) -> tuple[int | str, Mapping[str, str], bytes]:
        """Return the outcome, and the headers and the body of the answer."""
        headers = {
            "content-type": "application/json",
            "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",
            **self._signature(message),
        }
        try:
            async with http.stream("POST", message.endpoint.url, content=message.body, headers=headers) as answer:
                body = bytearray()
                async for part in answer.aiter_bytes(_ANSWER_BYTES):
                    body += part
                    if len(body) >= _ANSWER_BYTES:
                        break
                return answer.status_code, answer.headers, bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__, {}, b""

    def _signature(self, message: Message) -> dict[str, str]:
        now_s = int(self._now_s())
        keys = (FORGERS_SECRET,) if message.forged else message.endpoint.secrets
        signed = [sign_webhook(secret, message.svix_id, now_s, message.body) for secret in keys]
        return {**signed[0], "svix-signature": " ".join(headers["svix-signature"] for headers in signed)}

    def _retry_in_s(self, attempts: int, retry_after: str | None) -> float | None:
        if attempts >= len(self.schedule_s):
            return None
        base_s = self.schedule_s[attempts]
        if retry_after and retry_after.isascii() and retry_after.isdigit():
            # Svix heeds it between the usual wait and twice that.
            return min(max(float(retry_after[:9]), base_s), 2 * base_s)
        return base_s


def _attempt_of(message: Message, **what: Any) -> DeliveryAttempt:
    return DeliveryAttempt(
        svix_id=message.svix_id,
        event=message.event,
        user_id=message.user_id,
        url=message.endpoint.url,
        number=message.number,
        body=message.body,
        forged=message.forged,
        **what,
    )
