"""Receive a webhook of Clerk's: verify it, apply it, and return the outcome."""

from collections.abc import Mapping

from attrs import frozen

from application.sessions.revoke_session import RevokeSession
from application.users.delete_user import DeleteUser
from application.users.ports import WebhookReader
from application.users.sync_user import SyncUser
from domain.decision import Outcome
from domain.session import RevokedSession
from domain.snapshot import Deletion, Snapshot


@frozen
class ReceiveWebhook:
    webhooks: WebhookReader
    sync_user: SyncUser
    delete_user: DeleteUser
    revoke_session: RevokeSession

    def in_time(self, headers: Mapping[str, str]) -> bool:
        """Tell by the headers whether to wait for the body; see `WebhookReader.in_time`."""
        return self.webhooks.in_time(headers)

    async def __call__(self, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Return the outcome of the delivery, after COMMIT; `headers` has lower-case names.

        Raises:
            ForgedWebhookError, UnusableWebhookError: it is not applied.
            StoreUnavailableError, UnstorableError: it could not be applied.
        """
        match self.webhooks.read(headers, body):
            case Snapshot() as snapshot:
                return (await self.sync_user(snapshot)).outcome
            case Deletion() as deletion:
                return (await self.delete_user(deletion)).outcome
            case RevokedSession() as session:
                return (await self.revoke_session(session)).outcome
            case None:
                return Outcome.IGNORED
