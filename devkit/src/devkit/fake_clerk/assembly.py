"""The complete stand-in: an instance, its API, its webhooks."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from attrs import field, frozen

from devkit.fake_clerk.backend_api import FakeBackendApi
from devkit.fake_clerk.deliveries import DeliveryAttempt, Endpoint
from devkit.fake_clerk.faults import Faults
from devkit.fake_clerk.instance import ClerkInstance
from devkit.fake_clerk.rate_limits import RateLimiter, RateLimits
from devkit.fake_clerk.tokens import SessionTokens
from devkit.fake_clerk.webhook_sender import SVIX_SCHEDULE_S, WebhookSender

_SAVE_EVERY_S = 0.5


@frozen(kw_only=True)
class StandIn:
    """Clerk, in this process; `api.answer` answers requests, `run` sends webhooks and keeps the file current."""

    instance: ClerkInstance
    api: FakeBackendApi
    webhooks: WebhookSender
    faults: Faults
    file: Path | None = field(default=None)

    async def run(self) -> None:
        """Do what goes on in the background, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.webhooks.run())
            if self.file is not None:
                tasks.create_task(self._keep(self.file))

    async def _keep(self, file: Path) -> None:
        kept = self.instance.changes
        saving: asyncio.Future[None] | None = None
        try:
            while True:
                await asyncio.sleep(_SAVE_EVERY_S)
                if self.instance.changes != kept:
                    kept = self.instance.changes
                    saving = asyncio.ensure_future(asyncio.to_thread(_save, self.instance.dump(), file))
                    await asyncio.shield(saving)
        finally:
            if saving:  # the thread goes on when this is cancelled, and would replace what is saved now by older users
                await asyncio.wait([saving])
            if self.instance.changes != kept:
                _save(self.instance.dump(), file)


def _save(dump: object, file: Path) -> None:
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.write_bytes(msgspec.json.encode(dump))
    unfinished.replace(file)


def stand_in(  # noqa: PLR0913  # all go by name, and most have a default
    *,
    secret_key: str,
    private_key: str,
    issuer: str,
    endpoints: Sequence[Endpoint] = (),
    limits: RateLimits | None = None,
    schedule_s: Sequence[float] = SVIX_SCHEDULE_S,
    concurrency: int = 8,
    seed: int | None = None,
    authorized_party: str | None = None,
    file: Path | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    on_attempt: Callable[[DeliveryAttempt], None] | None = None,
) -> StandIn:
    """Return a stand-in.

    Args:
        secret_key: `sk_test_…`, that its clients must have.
        private_key: RSA in PEM, that session tokens are signed with.
        issuer: the Frontend API's URL, `iss` of session tokens.
        endpoints: where webhooks go.
        limits: Clerk's, for a production instance, if left out.
        schedule_s: seconds before each attempt to deliver a webhook.
        concurrency: webhooks at a time.
        seed: the same one makes the same ids.
        authorized_party: `azp` of session tokens.
        file: where users and sessions are kept from one run to the next.
        now_ms: the clock, milliseconds since 1970.
        on_attempt: hears of each attempt to deliver a webhook.

    Raises:
        ValueError: the file is there and cannot be used.
    """
    webhooks = WebhookSender(
        endpoints,
        now_s=lambda: now_ms() / 1000,
        schedule_s=schedule_s,
        concurrency=concurrency,
        on_attempt=on_attempt,
    )
    instance = ClerkInstance(now_ms=now_ms, seed=seed, on_event=webhooks.send)
    if file is not None and file.exists():
        try:
            instance.load(msgspec.json.decode(file.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{file} cannot be read as a stand-in's users ({type(error).__name__}): remove it"
            ) from None
    faults = Faults()
    api = FakeBackendApi(
        instance=instance,
        secret_key=secret_key,
        tokens=SessionTokens(private_key=private_key, issuer=issuer, authorized_party=authorized_party),
        limits=RateLimiter(limits or RateLimits(), now_ms),
        faults=faults,
        webhooks=webhooks,
    )
    return StandIn(instance=instance, api=api, webhooks=webhooks, faults=faults, file=file)
