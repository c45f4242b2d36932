"""People and services that ask all the time, with whatever opens a door: what must not turn up in a log."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence

import httpx
from attrs import define, field

from support.web import bearer


@define(eq=False)
class Visitors:
    """Ask `serve` at any of these addresses, with good, expired and foreign tokens, and with a service's key."""

    urls: Sequence[str]
    users: Sequence[str]
    service_key: str
    statuses: "Counter[int]" = field(factory=Counter)
    _stopping: bool = False

    def stop(self) -> None:
        self._stopping = True

    async def run(self, dice: random.Random) -> None:
        """Ask until `stop`; whether there is an answer is not what this is about."""
        async with httpx.AsyncClient(timeout=8) as client:
            for number in itertools.count():
                if self._stopping:
                    return
                user = dice.choice(self.users)
                path, headers = [
                    ("/v1/me", bearer(user)),
                    ("/v1/verify?active=true", bearer(user)),
                    ("/v1/me", bearer(user, exp=1)),
                    ("/v1/me", bearer(user, iss="https://elsewhere.example")),
                    (f"/v1/users/{user}", {"authorization": f"Bearer {self.service_key}"}),
                    ("/v1/users?email=ada@example.org", {"authorization": f"Bearer {self.service_key}x"}),
                ][number % 6]
                try:
                    answer = await client.get(f"{dice.choice(self.urls)}{path}", headers=headers)
                except httpx.HTTPError:
                    self.statuses[0] += 1
                else:
                    self.statuses[answer.status_code] += 1
                await asyncio.sleep(0.05)
