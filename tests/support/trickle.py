"""A few genuine requests a second through a change, each answer kept: whoever was refused is a fault of the change."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import httpx
from attrs import define, field

PAUSE_S = 0.02
ANSWER_S = 30.0

Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@define(eq=False)
class Trickles:
    """Clients of several kinds, each of which asks again and again, every time on a connection of its own."""

    url: str
    kinds: Mapping[str, Ask]
    answers: Counter[tuple[str, int]] = field(factory=Counter, init=False)
    """By kind and status."""
    failures: list[str] = field(factory=list, init=False)
    """Requests that got no answer, and what refusals said."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask until the block ends and all that was begun is answered."""
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(self._ask(kind, ask, stopping)) for kind, ask in self.kinds.items()]
        try:
            yield
        finally:
            stopping.set()
            await asyncio.gather(*tasks)

    async def answer(self, more: int) -> None:
        """Wait for so many more answers of each kind."""
        wanted = {kind: self._of(kind) + more for kind in self.kinds}
        async with asyncio.timeout(60):
            while any(self._of(kind) < number for kind, number in wanted.items()):
                await asyncio.sleep(PAUSE_S)

    def _of(self, kind: str) -> int:
        return sum(number for (one, _), number in self.answers.items() if one == kind)

    async def _ask(self, kind: str, ask: Ask, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            async with httpx.AsyncClient(base_url=self.url, timeout=ANSWER_S, trust_env=False) as client:
                try:
                    answer = await ask(client)
                except httpx.HTTPError as error:
                    self.failures.append(f"{kind}: {type(error).__name__} {error}")
                else:
                    self.answers[kind, answer.status_code] += 1
                    if not answer.is_success:
                        self.failures.append(f"{kind}: {answer.status_code} {answer.text}")
            await asyncio.sleep(PAUSE_S)
