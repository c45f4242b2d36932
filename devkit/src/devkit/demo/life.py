"""Ada's life: what Clerk sends, and what must be answered, stored and published each time.

Nothing here asks the service's own code what is right: the expected rows and events are written out.
"""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import define, field

from application.relay.ports import Record
from devkit.demo.differences import ANY_UUID
from devkit.demo.screen import Scene, as_json, headers, pairs
from devkit.demo.stage import Stage, StageAnswer

if TYPE_CHECKING:
    from devkit.fake_clerk import SignedWebhook

PRIVATE = "for our eyes only"
_BOOKKEEPING = {"revision", "source_updated_at", "source_timestamp", "source_digest"}
_MINUTE_MS = 60_000


@define
class Life:
    """The user, the moments of her life (ms), and what was sent and received so far."""

    stage: Stage
    signed_up: int = field(factory=lambda: (int(time.time()) - 3600) * 1000)
    user_id: str = ""
    first_delivery: "SignedWebhook | None" = None
    row: dict[str, Any] | None = None
    events: list[Record] = field(factory=list)
    tag: str = ""

    def __attrs_post_init__(self) -> None:
        self.user_id = self.stage.clerk.new_user_id(now_ms=self.signed_up)

    def at(self, minutes: int) -> int:
        return self.signed_up + minutes * _MINUTE_MS

    def user(self, updated_ms: int, **overrides: Any) -> dict[str, Any]:
        """Return Clerk's user object as of that moment."""
        fields: dict[str, Any] = {
            "email": "ada@example.org",
            "public_metadata": {"plan": "free"},
            "private_metadata": {"note": PRIVATE},
            "unsafe_metadata": {"note": PRIVATE},
            **overrides,
        }
        return self.stage.clerk.user(self.user_id, now_ms=updated_ms, **fields)

    def profile(self, version: int, updated_ms: int, **changed: Any) -> dict[str, Any]:
        """Return the published profile that must come of `user(updated_ms, …)`."""
        email = changed.get("email", "ada@example.org")
        email_id = "idn_" + self.user_id.removeprefix("user_")
        return {
            "id": self.user_id,
            "version": version,
            "email": email,
            "email_verified": True,
            "emails": [{"id": email_id, "email": email, "verified": True, "status": "verified"}],
            "phone": "+15555550100",
            "username": "ada",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "image_url": "https://img.clerk.com/xxxxxx",
            "external_id": None,
            "public_metadata": {"plan": "free"},
            "banned": False,
            "locked": False,
            "created_at": rfc3339(self.signed_up),
            "updated_at": rfc3339(updated_ms),
            **changed,
        }

    def webhook(self, event_type: str, data: dict[str, Any], happened_ms: int) -> "SignedWebhook":
        return self.stage.clerk.webhook(event_type, data, happened_ms=happened_ms, sent_s=int(time.time()))

    def token(self, session_id: str | None = None) -> str:
        return self.stage.token(self.user_id, now_s=int(time.time()), session_id=session_id)

    async def deliver(self, scene: Scene, webhook: "SignedWebhook", *, status: int, outcome: str) -> None:
        """Send a webhook and check the answer."""
        sent = json.loads(webhook.body)
        scene.show(
            "sent",
            f"POST /webhooks/clerk   {sent['type']}",
            pairs(
                {
                    "svix-id": webhook.headers["svix-id"],
                    "updated_at": sent["data"].get("updated_at") and rfc3339(sent["data"]["updated_at"]),
                    "timestamp": rfc3339(sent["timestamp"]),
                }
            ),
        )
        answer = await self.stage.deliver(webhook)
        show_answer(scene, answer)
        scene.outcome = outcome
        scene.check("answer.status", status, answer.status)
        if status == 200:  # noqa: PLR2004
            scene.check("answer.body", {"outcome": outcome}, answer.body)
        else:
            scene.check("answer.code", outcome, isinstance(answer.body, dict) and answer.body.get("code"))

    async def expect_row(self, scene: Scene, expected: Mapping[str, Any]) -> None:
        """Read the row from PostgreSQL and compare every column of the profile."""
        row = await self.stage.row(self.user_id)
        self.row = row
        shown = {name: value for name, value in _readable(row or {}).items() if name not in _BOOKKEEPING}
        scene.show("row", pairs(shown))
        scene.check("row", expected, shown)
        scene.check("row holds private metadata", expected=False, actual=PRIVATE in repr(row))

    async def expect_event(self, scene: Scene, kind: str, version: int, happened_ms: int, data: object) -> None:
        """Take the next event out of Kafka and compare key, headers and data."""
        event = await self.stage.next_event()
        self.events.append(event)
        value = json.loads(event.value or b"null")
        scene.event = f"{kind} v{version}"
        key = (event.key or b"").decode()
        where = {"partition": event.partition, "offset": event.offset, "key": key}
        scene.show("event", pairs(where), headers(event.headers), as_json(value))
        expected = {
            "ce_specversion": "1.0",
            "ce_id": ANY_UUID,
            "ce_source": "/auth-service",
            "ce_type": f"anomalyze.user.{kind}.v1",
            "ce_subject": self.user_id,
            "ce_time": rfc3339(happened_ms),
            "ce_partitionkey": self.user_id,
            "ce_sequence": f"{version:020}",
            "content-type": "application/json",
        }
        scene.check("event.headers", expected, event.headers)
        scene.check("event.key", self.user_id, key)
        scene.check("event.data", data, value)
        scene.check("event holds private metadata", expected=False, actual=PRIVATE in str(event.value))

    async def expect_session_event(self, scene: Scene, session_id: str, happened_ms: int) -> None:
        """Take the next event out of the sessions' topic and compare key, headers and data."""
        event = await self.stage.next_session_event()
        value = json.loads(event.value or b"null")
        scene.event = "session revoked"
        key = (event.key or b"").decode()
        where = {"partition": event.partition, "offset": event.offset, "key": key}
        scene.show("event", pairs(where), headers(event.headers), as_json(value))
        expected = {
            "ce_specversion": "1.0",
            "ce_id": ANY_UUID,
            "ce_source": "/auth-service",
            "ce_type": "anomalyze.session.revoked.v1",
            "ce_subject": session_id,
            "ce_time": rfc3339(happened_ms),
            "ce_partitionkey": session_id,
            "ce_sequence": f"{1:020}",
            "content-type": "application/json",
        }
        scene.check("event.headers", expected, event.headers)
        scene.check("event.key", session_id, key)
        session = {"id": session_id, "user_id": self.user_id, "revoked_at": rfc3339(happened_ms)}
        scene.check("event.data", {"session": session}, value)

    async def expect_nothing(self, scene: Scene) -> None:
        """Check that neither the row nor the topic changed."""
        row = await self.stage.row(self.user_id)
        version = row and row["version"]
        scene.show("row", f"unchanged, version {version}" if row == self.row else pairs(_readable(row or {})))
        scene.check("row", self.row, row)
        count = await self.stage.events_ever()
        scene.show("event", "none" if count == len(self.events) else f"{count} instead of {len(self.events)}")
        scene.check("events in the topic", len(self.events), count)


def show_answer(scene: Scene, answer: StageAnswer, *names: str) -> None:
    scene.answer = scene.answer + (", " if scene.answer else "") + str(answer.status)
    named = {name: answer.headers[name] for name in names if name in answer.headers}
    body = [] if answer.body is None else [as_json(answer.body)]
    scene.show("answer", pairs({"status": str(answer.status), **named}), *body)


def rfc3339(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with JSON columns as values and times as RFC 3339."""
    shown = dict(row)
    for name, value in row.items():
        if isinstance(value, datetime):
            shown[name] = rfc3339(round(value.timestamp() * 1000))
        elif name in ("emails", "public_metadata") and value is not None:
            shown[name] = json.loads(value)
    return shown
