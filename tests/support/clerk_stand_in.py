"""The Clerk stand-in in this process, on a port of its own, for tests whose service asks a real HTTP server."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devkit.fake_clerk.assembly import StandIn, stand_in
from devkit.fake_clerk.backend_api import Asked
from devkit.fake_clerk.deliveries import Endpoint
from devkit.fake_clerk.faults import Fault, Faults
from devkit.fake_clerk.http_server import Answers, listening
from devkit.fake_clerk.instance import ClerkInstance
from devkit.fake_clerk.rate_limits import RateLimits
from devkit.fake_clerk.webhook_sender import WebhookSender
from support.web import ISSUER, PARTY, SECRET, public_key, signing_key

SECRET_KEY = "sk_test_0123456789abcdef"
UNLIMITED = RateLimits(requests=None, changes_per_user=None)
SCHEDULE_S = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


@frozen(kw_only=True)
class RunningStandIn:
    """A stand-in that answers at `url`; its parts may be used from the test directly."""

    url: str
    """CLERK_API_URL: without `/v1`."""
    secret_key: str
    behind: StandIn

    @property
    def instance(self) -> ClerkInstance:
        """The users and sessions."""
        return self.behind.instance

    @property
    def faults(self) -> Faults:
        return self.behind.faults

    @property
    def webhooks(self) -> WebhookSender:
        return self.behind.webhooks

    @property
    def requests(self) -> list[Asked]:
        """What was asked so far."""
        return list(self.behind.api.requests)

    @property
    def environment(self) -> dict[str, str]:
        """What a service is configured with to ask this Clerk and to trust its tokens, `support.web`'s beside it."""
        return {
            "CLERK_SECRET_KEY": self.secret_key,
            "CLERK_API_URL": self.url,
            "CLERK_JWT_KEY": public_key(),
            "CLERK_ISSUER": ISSUER,
            "CLERK_WEBHOOK_SECRET": SECRET,
        }

    def fails(self, kind: str, **how: Any) -> None:
        """Set a fault: `fails("status", status=429, retry_after_s=1, times=2, path="/v1/users")`."""
        self.faults.add(Fault(kind=kind, **how))

    def send_webhooks_to(self, url: str, *secrets: str) -> None:
        """Send webhooks to one endpoint more; they are signed with `support.web.SECRET` if nothing else is named."""
        self.webhooks.endpoints = (*self.webhooks.endpoints, Endpoint(url=url, secrets=secrets or (SECRET,)))

    def wait_for_webhooks(self, within_s: float = 60.0) -> None:
        """Return when each webhook was taken or given up."""
        deadline = time.monotonic() + within_s
        while self.webhooks.pending:
            assert time.monotonic() < deadline, f"{self.webhooks.pending} webhooks still wait"
            time.sleep(0.01)


@contextmanager
def running_stand_in(
    *,
    limits: RateLimits = UNLIMITED,
    schedule_s: Sequence[float] = SCHEDULE_S,
    answers: Callable[[StandIn], Answers] = lambda stand_in: stand_in.api.answer,
    **how: Any,
) -> Iterator[RunningStandIn]:
    """Run a stand-in in a thread of its own; `how` goes to `devkit.fake_clerk.assembly.stand_in`."""
    private_key = signing_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    behind = stand_in(
        **{
            "secret_key": SECRET_KEY,
            "private_key": private_key,
            "issuer": ISSUER,
            "authorized_party": PARTY,
            "seed": 1,
            "limits": limits,
            "schedule_s": schedule_s,
            **how,
        }
    )
    ready = threading.Event()
    started: dict[str, Any] = {}

    async def main() -> None:
        async with listening(answers(behind), host="127.0.0.1", port=0) as port:
            background = asyncio.create_task(behind.run())
            started.update(port=port, loop=asyncio.get_running_loop(), stop=asyncio.Event())
            ready.set()
            await started["stop"].wait()
            background.cancel()
            await asyncio.gather(background, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield RunningStandIn(url=f"http://127.0.0.1:{started['port']}", secret_key=SECRET_KEY, behind=behind)
    finally:
        started["loop"].call_soon_threadsafe(started["stop"].set)
        thread.join(20)
