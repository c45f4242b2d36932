"""Clerk's side: users that live, and senders that deliver the news of it as Svix does, until it is taken."""

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Callable, Sequence
from uuid import uuid4

import httpx
from attrs import define, field, frozen

from devkit.fake_clerk.samples import sample_deleted_user, sample_event, sample_user
from devkit.fake_clerk.signing import sign_webhook

RETRIES_S = (0.05, 0.2, 0.5, 1.0, 1.0, 2.0)
"""Between attempts, the last one again and again: Svix's schedule (5 s, 5 min, 30 min, 2 h, …), compressed."""

LATE = 5
"""Messages of one sender that may wait for their next attempt; then nothing new happens for a while."""

ATTEMPT_S = 8.0
"""How long an endpoint may take to answer; Svix gives 15 s."""


@frozen(kw_only=True)
class Webhook:
    """One message; all attempts to deliver it carry the same id and body."""

    id: str
    user: str
    at: int
    """When it happened, ms."""
    deleted: bool
    body: bytes = field(repr=False)
    traceparent: str


@define(eq=False)
class Life:
    """The users of a Clerk instance: what happens to them, in the order it happens."""

    random: random.Random
    users: Sequence[str]
    _clock: "itertools.count[int]" = field(factory=lambda: itertools.count(1_700_000_000_000))
    _gone: set[str] = field(factory=set)
    _known: set[str] = field(factory=set)

    def next(self) -> Webhook | None:
        """Let something happen to a random user; `None` when everybody is deleted."""
        alive = [user for user in self.users if user not in self._gone]
        if not alive:
            return None
        user, at = self.random.choice(alive), next(self._clock)
        if user in self._known and self.random.random() < 0.005:
            self._gone.add(user)
            return self._webhook(user, at, sample_event("user.deleted", sample_deleted_user(user), timestamp_ms=at))
        kind = "user.updated" if user in self._known else "user.created"
        self._known.add(user)
        data = sample_user(user, now_ms=at, first_name=f"Ada {at}", public_metadata={"n": at})
        return self._webhook(user, at, sample_event(kind, data, timestamp_ms=at))

    def _webhook(self, user: str, at: int, event: dict[str, object]) -> Webhook:
        return Webhook(
            id=f"msg_{uuid4().hex}",
            user=user,
            at=at,
            deleted=event["type"] == "user.deleted",
            body=json.dumps(event).encode(),
            traceparent=f"00-{uuid4().hex}-{uuid4().hex[:16]}-01",
        )


@define(eq=False)
class Senders:
    """Deliver webhooks, several at a time, to any of the endpoints."""

    life: Life
    urls: Sequence[str]
    secret: str
    acknowledged: list[Webhook] = field(factory=list)
    refused: list[tuple[int, Webhook]] = field(factory=list)
    """Answers that no retry mends (400, 413, 422): there must be none."""
    attempts: int = 0
    retried: dict[str, int] = field(factory=dict)
    """Attempts that did not count, by status or by the name of the failure."""
    _stopping: bool = False

    async def run(self, *, senders: int, pause: Callable[[], float] = lambda: 0.0) -> None:
        """Deliver until `stop`, and return when all that began to be delivered is acknowledged."""
        async with httpx.AsyncClient(timeout=httpx.Timeout(ATTEMPT_S, pool=None)) as client:
            await asyncio.gather(*(self._send_all(client, pause) for _ in range(senders)))

    def stop(self) -> None:
        """Let nothing new happen."""
        self._stopping = True

    async def _send_all(self, client: httpx.AsyncClient, pause: Callable[[], float]) -> None:
        late: set[asyncio.Task[None]] = set()
        while not self._stopping and (webhook := self.life.next()):
            # A message that has to wait for its next attempt holds up no other one: so they come out of order.
            if not await self._attempt(client, webhook):
                task = asyncio.create_task(self._retry(client, webhook))
                late.add(task)
            if len(late) > LATE:
                _, late = await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(pause())
        await asyncio.gather(*late)

    async def until_served(self) -> None:
        """Wait until every endpoint is ready."""
        async with httpx.AsyncClient() as client, asyncio.timeout(60):
            for url in self.urls:
                while True:
                    with contextlib.suppress(httpx.HTTPError):
                        if (await client.get(f"{url}/health/ready")).is_success:
                            break
                    await asyncio.sleep(0.1)

    async def until_taken(self) -> None:
        """Deliver one message, trying all the time."""
        webhook = self.life.next()
        assert webhook
        await self.until_delivered(webhook)

    async def until_delivered(self, webhook: Webhook, *, within: float = 60.0, pause_s: float = 0.02) -> None:
        """Deliver this message, trying all the time."""
        async with httpx.AsyncClient(timeout=httpx.Timeout(ATTEMPT_S, pool=None)) as client, asyncio.timeout(within):
            while not await self._attempt(client, webhook):
                await asyncio.sleep(pause_s)

    async def deliver(self, client: httpx.AsyncClient, url: str, webhook: Webhook) -> int:
        """Try once, and return the status."""
        signed = sign_webhook(self.secret, webhook.id, int(time.time()), webhook.body)
        headers = {**signed, "content-type": "application/json", "traceparent": webhook.traceparent}
        return (await client.post(f"{url}/webhooks/clerk", content=webhook.body, headers=headers)).status_code

    async def _retry(self, client: httpx.AsyncClient, webhook: Webhook) -> None:
        for wait in itertools.chain(RETRIES_S, itertools.repeat(RETRIES_S[-1])):
            await asyncio.sleep(wait * self.life.random.uniform(0.8, 1.2))
            if await self._attempt(client, webhook):
                return

    async def _attempt(self, client: httpx.AsyncClient, webhook: Webhook) -> bool:
        self.attempts += 1
        try:
            status = await self.deliver(client, self.life.random.choice(self.urls), webhook)
        except httpx.HTTPError as error:
            self._count(type(error).__name__)
            return False
        if status == httpx.codes.OK:
            self.acknowledged.append(webhook)
            return True
        if status < httpx.codes.INTERNAL_SERVER_ERROR and status not in {408, 429}:
            self.refused.append((status, webhook))
            return True
        self._count(str(status))
        return False

    def _count(self, what: str) -> None:
        self.retried[what] = self.retried.get(what, 0) + 1
