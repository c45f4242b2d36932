"""The demo's stage without servers: the real decisions on a dictionary, and a place to bend each result."""

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import asdict, define, field

from adapters.clerk.webhooks import ClerkWebhooks
from adapters.kafka.cloudevents import encode
from application.errors import ForgedWebhookError
from application.relay.messages import OutboxMessage
from application.relay.ports import Record
from application.users.representation import profile_document
from application.users.signing_key import parse_signing_key
from devkit.demo.stage import StageAnswer
from devkit.fake_clerk import ClerkStandIn, SignedWebhook
from domain.decision import Outcome
from domain.delete_user import delete_user
from domain.revoke_session import revoke_session
from domain.session import RevokedSession
from domain.snapshot import Deletion
from domain.sync_user import sync_user
from domain.user import Known, Tombstone, User
from support.message_headers import headers

SECRET = "whsec_" + "c2VjcmV0" * 4


def _as_it_is(value: Any) -> Any:
    return value


@define
class FakeStage:
    """`devkit.demo.stage.Stage`, as the steps use it; `bend_…` change what they get to see."""

    bend_answer: Callable[[StageAnswer], StageAnswer] = _as_it_is
    bend_row: Callable[[dict[str, Any] | None], dict[str, Any] | None] = _as_it_is
    bend_event: Callable[[Record], Record] = _as_it_is
    bend_session_event: Callable[[Record], Record] = _as_it_is
    more_events: int = 0
    clerk: ClerkStandIn = field(factory=lambda: ClerkStandIn(SECRET))
    _known: Known = None
    _revoked: dict[str, RevokedSession] = field(factory=dict)
    _session_events: list[Record] = field(factory=list)
    _published: list[Record] = field(factory=list)
    _read: int = 0

    async def deliver(self, webhook: SignedWebhook) -> StageAnswer:
        try:
            news = ClerkWebhooks([parse_signing_key(SECRET)]).read(dict(webhook.headers), webhook.body)
        except ForgedWebhookError:
            return self.bend_answer(StageAnswer(400, {}, {"code": "webhook-not-genuine"}))
        assert news is not None
        if isinstance(news, RevokedSession):
            first = revoke_session(self._revoked.get(news.id), news)
            self._revoked[news.id] = first.session
            self._session_events += [_record(encode(event), 0) for event in first.events]
            return self.bend_answer(StageAnswer(200, {}, {"outcome": str(first.outcome)}))
        decision = delete_user(self._known, news) if isinstance(news, Deletion) else sync_user(self._known, news)
        self._known = decision.user
        for event in decision.events:
            self._published.append(_record(encode(event), len(self._published)))
        return self.bend_answer(StageAnswer(200, {}, {"outcome": str(Outcome(decision.outcome))}))

    async def me(self, token: str, **sent: str) -> StageAnswer:
        if not isinstance(self._known, User):
            challenge = 'Bearer error="invalid_token", error_description="gone"'
            return self.bend_answer(StageAnswer(401, {"www-authenticate": challenge}, {"code": "user-deleted"}))
        if token.rsplit(".", maxsplit=1)[-1] in self._revoked:
            return self.bend_answer(StageAnswer(401, {}, {"code": "session-revoked"}))
        named = {"etag": f'"{self._known.version}"', "cache-control": "private, no-cache"}
        if sent.get("if-none-match") == named["etag"]:
            return self.bend_answer(StageAnswer(304, named, None))
        return self.bend_answer(StageAnswer(200, named, json.loads(json.dumps(profile_document(self._known)))))

    def token(self, user_id: str, *, now_s: int, session_id: str | None = None) -> str:
        return f"{user_id}.{now_s}.{session_id or secrets.token_hex(4)}"

    async def row(self, user_id: str) -> dict[str, Any] | None:
        return self.bend_row(_row(self._known))

    async def next_event(self) -> Record:
        self._read += 1
        return self.bend_event(self._published[self._read - 1])

    async def next_session_event(self) -> Record:
        return self.bend_session_event(self._session_events.pop(0))

    async def events_ever(self) -> int:
        return len(self._published) + self.more_events


def _record(message: OutboxMessage, offset: int) -> Record:
    return Record(
        partition=4,
        offset=offset,
        key=message.key.encode(),
        headers=headers(message),
        value=message.payload,
    )


def _row(known: Known) -> dict[str, Any] | None:
    if known is None:
        return None
    if isinstance(known, Tombstone):
        nothing = dict.fromkeys(name for name in _COLUMNS if name not in _FLAGS)
        flags = dict.fromkeys(_FLAGS, False)
        return {**nothing, **flags, "id": known.id, "version": known.version, "deleted_at": _time(known.deleted_at)}
    profile = asdict(known.profile)
    return {
        **profile,
        "id": known.id,
        "version": known.version,
        "emails": json.dumps(profile["emails"]),
        "public_metadata": json.dumps(profile["public_metadata"]),
        "created_at": _time(known.profile.created_at),
        "updated_at": _time(known.updated_at),
        "deleted_at": None,
    }


_FLAGS = ("email_verified", "banned", "locked")
_COLUMNS = (
    *("email", "email_verified", "emails", "phone", "username", "first_name", "last_name", "image_url"),
    *("external_id", "public_metadata", "banned", "locked", "created_at", "updated_at"),
)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
