"""Receive a webhook of Clerk's: verify it, apply it, and return the outcome."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from attrs import frozen

from application.sessions.revoke_session import RevokeSession
from application.users.delete_user import DeleteUser
from application.users.ports import WebhookReader
from application.users.sync_user import SyncUser
from domain.decision import Outcome
from domain.session import RevokedSession
from domain.snapshot import Deletion, Snapshot

ReadBody: TypeAlias = Callable[[bool], Awaitable[bytes]]
"""Returns the body; is told whether the webhook was sent recently, so that it is worth waiting for."""


@frozen
class ReceiveWebhook:
    webhooks: WebhookReader
    sync_user: SyncUser
    delete_user: DeleteUser
    revoke_session: RevokeSession

    async def __call__(self, headers: Mapping[str, str], read_body: ReadBody) -> Outcome:
        """Return the outcome of the delivery, after COMMIT; `headers` has lower-case names.

        Raises what `read_body` raises, and:
            ForgedWebhookError, UnusableWebhookError: it is not applied.
            StoreUnavailableError, UnstorableError: it could not be applied.
        """
        body = await read_body(self.webhooks.in_time(headers))
        match self.webhooks.read(headers, body):
            case Snapshot() as snapshot:
                return (await self.sync_user(snapshot)).outcome
            case Deletion() as deletion:
                return (await self.delete_user(deletion)).outcome
            case RevokedSession() as session:
                return (await self.revoke_session(session)).outcome
            case None:
                return Outcome.IGNORED
