"""The page's views as JSON, computed from the records whenever they change."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from attrs import frozen

from application.users.representation import profile_document, rfc3339
from devkit.console.composition import profile_of
from devkit.console.records import Delivery, Event, Records, payload_of
from devkit.console.versions import version
from devkit.console.why import OUTCOMES, source_time, time_of, why
from devkit.fake_clerk.instance import ClerkInstance
from devkit.fake_clerk.listing import query_of
from devkit.fake_clerk.refusals import RefusedError
from domain.session import RevokedSession
from domain.snapshot import Deletion, Snapshot, changed_fields
from domain.source_version import SourceVersion
from domain.user import Tombstone, User

PAGE = 50
_FOUND_USERS = 5
_LATEST = 10


@frozen
class Parameters:
    """The address bar: what is looked at."""

    query: str = ""
    outcomes: frozenset[str] = frozenset()
    user: str = ""
    delivery: int = 0
    page: int = 0
    users: bool = False

    @classmethod
    def of(cls, query_string: str) -> "Parameters":
        """Read a query string; what cannot be understood is left out."""
        found = {name: values[0] for name, values in parse_qs(query_string).items()}
        return cls(
            query=found.get("q", ""),
            outcomes=frozenset(found.get("outcome", "").split(",")) & frozenset(OUTCOMES),
            user=found.get("user", ""),
            delivery=_number(found.get("delivery")),
            page=_number(found.get("page")),
            users="users" in found,
        )


@frozen
class Views:
    records: Records
    clerk: ClerkInstance

    def view(self, parameters: Parameters) -> dict[str, Any]:
        """Return what the page shows for this address."""
        if parameters.user:
            shown = self._user(parameters)
        elif parameters.users:
            shown = self._users(parameters)
        else:
            shown = self._deliveries(parameters)
        chosen = self.records.deliveries.get(parameters.delivery)
        acted_on = parameters.user or (chosen.attempt.user_id if chosen else "")
        latest = islice(reversed(self.records.of_user.get(acted_on, ())), _LATEST)
        return {
            **shown,
            # Results of actions, whatever filter and page the list shows.
            "latest": [self._row(delivery) for delivery in latest],
            "total": len(self.records.deliveries),
            "problems": [{"what": what, "why": text} for what, text in sorted(self.records.problems.items())],
            "chosen": self._detail(chosen) if chosen else None,
        }

    def _deliveries(self, parameters: Parameters) -> dict[str, Any]:
        matching = list(self.records.found(parameters.query, frozenset()))
        counts = Counter(delivery.result.outcome for delivery in matching)
        wanted = [one for one in matching if not parameters.outcomes or one.result.outcome in parameters.outcomes]
        return {
            "view": "deliveries",
            "counts": counts,
            **self._page(wanted, parameters),
            "users": self._found_users(parameters.query) if parameters.query.strip() else [],
        }

    def _users(self, parameters: Parameters) -> dict[str, Any]:
        def ask(**options: int) -> Any:
            return query_of({"query": [parameters.query], **{name: [str(value)] for name, value in options.items()}})

        users = self.clerk.page(ask(limit=PAGE, offset=parameters.page * PAGE))
        total = self.clerk.count(ask())
        return {
            "view": "users",
            "matched": total,
            "page": parameters.page,
            "pages": -(-total // PAGE),
            "users": [_card(user) for user in users],
        }

    def _found_users(self, query: str) -> list[dict[str, Any]]:
        """Return users that Clerk knows by the text, and those of events that it names."""
        cards = {}
        found = query_of({"query": [query.strip()], "limit": [str(_FOUND_USERS)]})
        for user in self.clerk.page(found):
            cards[user["id"]] = _card(user)
        for event in self.records.events_by_id(query.strip().lower())[:_FOUND_USERS]:
            cards.setdefault(event.user_id, self._card_of(event.user_id))
        if query.strip() in self.records.events_of_user:
            cards.setdefault(query.strip(), self._card_of(query.strip()))
        return list(cards.values())

    def _card_of(self, user_id: str) -> dict[str, Any]:
        try:
            return _card(self.clerk.get(user_id))
        except RefusedError:
            row = self.records.rows.get(user_id)
            deleted = isinstance(row, Tombstone)
            profile = row.profile if isinstance(row, User) else None
            return {
                "id": user_id,
                "name": " ".join(filter(None, [profile.first_name, profile.last_name])) if profile else "",
                "email": profile.email if profile else None,
                "banned": bool(profile and profile.banned),
                "locked": bool(profile and profile.locked),
                "deleted": deleted,
            }

    def _user(self, parameters: Parameters) -> dict[str, Any]:
        user_id = parameters.user
        deliveries = list(reversed(self.records.of_user.get(user_id, ())))
        counts = Counter(delivery.result.outcome for delivery in deliveries)
        wanted = [one for one in deliveries if not parameters.outcomes or one.result.outcome in parameters.outcomes]
        events = sorted(
            [*self.records.events_of_user.get(user_id, ()), *self._still_unpublished(user_id)],
            key=lambda event: event.version,
        )
        about_user = [event for event in events if not event.of_session]
        versions = [
            version(self.records, event, before) for before, event in zip([None, *about_user], about_user, strict=False)
        ]
        sessions = [version(self.records, event, None) for event in events if event.of_session]
        document = self._at_clerk(user_id)
        return {
            "view": "user",
            "user": self._card_of(user_id),
            "at_clerk": document,
            "sync": self._sync(user_id),
            "row": self._row_of_table(user_id),
            "counts": counts,
            **self._page(wanted, parameters),
            "last": _last_ids(deliveries),
            "versions": versions[::-1][:PAGE],
            "older_versions": max(len(versions) - PAGE, 0),
            "sessions": sessions[::-1][:PAGE],
            "groups": sorted(self.records.positions),
        }

    def _still_unpublished(self, user_id: str) -> list[Event]:
        waiting = self.records.unpublished.get(user_id, ())
        return [event for event in waiting if event.id not in self.records.events]

    def _at_clerk(self, user_id: str) -> dict[str, Any] | None:
        """Return what the actions change."""
        try:
            user = self.clerk.get(user_id)
        except RefusedError:
            return None
        metadata = user.get("public_metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        plan = metadata.get("plan")
        sessions = self.clerk.sessions(user_id=user_id, status="active")
        return {
            "first_name": user.get("first_name") or "",
            "plan": plan if isinstance(plan, str) else "",
            "public_metadata": metadata,
            "banned": bool(user.get("banned")),
            "locked": bool(user.get("locked")),
            "session": sessions[0]["id"] if sessions else None,
            "sessions": len(sessions),
        }

    def _sync(self, user_id: str) -> dict[str, Any]:
        """Return whether the row equals the user at Clerk, and if not, which fields differ."""
        if user_id not in self.records.rows:
            return {"state": "unknown", "fields": []}
        row = self.records.rows[user_id]
        try:
            profile = profile_of(self.clerk.get(user_id))
        except RefusedError:
            return {"state": "differs" if isinstance(row, User) else "same", "fields": []}
        if profile is None:
            return {"state": "unknown", "fields": []}
        if not isinstance(row, User):
            return {"state": "differs", "fields": []}
        fields = changed_fields(row.profile, profile)
        return {"state": "differs" if fields else "same", "fields": fields}

    def _row_of_table(self, user_id: str) -> dict[str, Any] | None:
        match self.records.rows.get(user_id):
            case User() as row:
                return {"version": row.version, "time": rfc3339(row.source.updated_at), "deleted": False}
            case Tombstone() as row:
                return {"version": row.version, "time": rfc3339(row.deleted_at), "deleted": True}
        return None

    def _page(self, found: Sequence[Delivery], parameters: Parameters) -> dict[str, Any]:
        """Return a page of deliveries: the one that is asked for, else the one with the delivery that is looked at."""
        page = parameters.page
        if not page and parameters.delivery:
            page = next((at // PAGE for at, one in enumerate(found) if one.number == parameters.delivery), 0)
        return {
            "matched": len(found),
            "page": page,
            "pages": -(-len(found) // PAGE),
            "deliveries": [self._row(delivery) for delivery in found[page * PAGE : (page + 1) * PAGE]],
        }

    def _row(self, delivery: Delivery) -> dict[str, Any]:
        attempt, event = delivery.attempt, self.records.event_caused_by(delivery)
        changed = event.data.get("changed") if event else None
        email = delivery.news.profile.email if isinstance(delivery.news, Snapshot) else None
        source = source_time(delivery.news)
        return {
            "number": delivery.number,
            "svix_id": attempt.svix_id,
            "type": attempt.event,
            "user": attempt.user_id,
            "email": email,
            "source": time_of(source, attempt.at_ms) if source is not None else None,
            "at": rfc3339(attempt.at_ms),
            "took_ms": round(attempt.took_ms, 1),
            "attempt": attempt.number,
            "status": attempt.outcome if isinstance(attempt.outcome, int) else None,
            "forged": attempt.forged,
            "outcome": delivery.result.outcome,
            "why": why(
                attempt,
                delivery.news,
                delivery.result,
                delivery.current,
                changed=list(changed) if isinstance(changed, list) else None,
                version=event.version if event else None,
            ),
            "trace_id": attempt.trace_id,
            "event": event.id if event else None,
        }

    def _detail(self, delivery: Delivery) -> dict[str, Any]:
        """Return a delivery with what it says of the fields that are kept: nothing else of its body is ever shown."""
        match delivery.news:
            case Snapshot() as news:
                user = User(
                    id=news.id, version=0, profile=news.profile, updated_at=news.source.updated_at, source=news.source
                )
                says: dict[str, Any] = {k: v for k, v in profile_document(user).items() if k != "version"}
            case Deletion() as news:
                says = {"id": news.id, "deleted_at": rfc3339(news.deleted_at)}
            case RevokedSession() as news:
                says = {"id": news.id, "user_id": news.user_id, "revoked_at": rfc3339(news.revoked_at)}
            case _:
                says = {}
        answer = payload_of(delivery.attempt.answer)
        return {
            **self._row(delivery),
            "says": json.dumps(says, indent=2, ensure_ascii=False) if says else "",
            "answer": json.dumps(answer, indent=2, ensure_ascii=False) if answer is not None else "",
            "url": delivery.attempt.url,
            "overtaken_by": self._overtaken_by(delivery),
        }

    def _overtaken_by(self, delivery: Delivery) -> int | None:
        """Return the number of the delivery that the row held when a stale one came; `None`: unknown, or not stale."""
        if delivery.result.outcome != "stale":
            return None
        for other in reversed(self.records.of_user[delivery.attempt.user_id]):
            match other.news, delivery.current:
                case Snapshot() as news, SourceVersion() if news.source == delivery.current:
                    applied = other.result.outcome in ("created", "updated")
                case Deletion(), Tombstone():
                    applied = other.result.outcome == "deleted"
                case _:
                    applied = False
            if applied:
                return other.number
        return None


def _last_ids(deliveries: Sequence[Delivery]) -> list[str]:
    """Return the ids of the last three messages, newest first."""
    return list(dict.fromkeys(delivery.attempt.svix_id for delivery in deliveries))[:3]


def _card(user: Mapping[str, Any]) -> dict[str, Any]:
    addresses = user.get("email_addresses")
    addresses = [entry for entry in addresses if isinstance(entry, dict)] if isinstance(addresses, list) else []
    primary: Mapping[str, Any] = next(
        (entry for entry in addresses if entry.get("id") == user.get("primary_email_address_id")), {}
    )
    names = [user.get("first_name"), user.get("last_name")]
    return {
        "id": user["id"],
        "name": " ".join(name for name in names if isinstance(name, str) and name),
        "email": primary.get("email_address"),
        "banned": bool(user.get("banned")),
        "locked": bool(user.get("locked")),
        "deleted": False,
    }


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else 0  # noqa: PLR2004
