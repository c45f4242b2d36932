"""A Clerk instance in memory: its users, its sessions, and the events about them."""

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from devkit.fake_clerk import forms, users
from devkit.fake_clerk.listing import Query, Users
from devkit.fake_clerk.refusals import bad_parameter, forbidden, invalid_action, not_found, taken
from devkit.fake_clerk.samples import sample_email, sample_session
from devkit.fake_clerk.users import User
from devkit.fake_clerk.webhook_factory import new_id

_PRIMARY = {"primary_email_address_id": "email_addresses", "primary_phone_number_id": "phone_numbers"}

OnEvent = Callable[[str, dict[str, Any], int], None]
"""Hears of `user.created|updated|deleted` and `session.ended|removed|revoked`: the kind, the webhook's `data`, when it
happened (ms)."""

Session = Mapping[str, Any]
SessionEnd = Literal["ended", "removed", "revoked"]


class ClerkInstance:
    """Users and sessions as Clerk keeps them. Documents that it returns are the Backend API's.

    May be used from any thread. Each change of a user moves `updated_at`, by at least a millisecond, and is announced.

    Args:
        now_ms: the clock, milliseconds since 1970.
        seed: what makes the ids; the same seed gives the same ids.
        on_event: hears of each change, in the order of changes.

    Every method raises `RefusedError` with Clerk's own code where Clerk would refuse.
    """

    def __init__(self, *, now_ms: Callable[[], int], seed: int | None = None, on_event: OnEvent | None = None) -> None:
        self.now_ms = now_ms
        self._random = random.Random(seed)  # noqa: S311  # ids, not secrets
        self._on_event = on_event
        self._lock = threading.RLock()
        self._users = Users()
        self._sessions: dict[str, Session] = {}
        self._deleted: set[str] = set()
        self._announces = True
        self.changes = 0
        """How many there were, so that a copy can be checked for being current."""

    # Reading.

    def __len__(self) -> int:
        return len(self._users)

    def get(self, user_id: str) -> dict[str, Any]:
        with self._lock:
            return users.document(self._user(user_id))

    def page(self, query: Query) -> list[dict[str, Any]]:
        with self._lock:
            return [users.document(user) for user in self._users.page(query)]

    def count(self, query: Query | None = None) -> int:
        with self._lock:
            return self._users.count(query or Query())

    def user_ids(self) -> list[str]:
        with self._lock:
            return [user["id"] for user in self._users]

    # Changing users.

    def create(self, user_id: str | None = None, /, **form: Any) -> dict[str, Any]:
        """Create a user from the fields of POST /users (`email_address=["a@b.c"]`, `first_name="Ada"`, …)."""
        checked = forms.checked(forms.CREATE, form)
        with self._lock:
            now_ms = self.now_ms()
            if user_id and self._users.get(user_id):
                raise taken("user_id")
            user = users.created(checked, user_id or self._new_id("user"), now_ms=now_ms, new_id=self._new_id)
            return self._put(user, None, "user.created", now_ms)

    def update(self, user_id: str, /, **form: Any) -> dict[str, Any]:
        """Change the fields of PATCH /users/{id}."""
        checked = forms.checked(forms.UPDATE, form)
        with self._changing(user_id) as (user, now_ms):
            for name, of in _PRIMARY.items():
                if checked.get(name) and not users.has_entry(user, of, checked[name]):
                    text = f"The resource associated with the supplied {name} was not found."
                    raise bad_parameter("form_resource_not_found", name, text, message="is missing")
            return self._put(users.changed(user, checked, now_ms=now_ms), user, "user.updated", now_ms)

    def set_fields(self, user_id: str, /, **fields: Any) -> dict[str, Any]:
        """Set fields of the user object as they are, unchecked: for shapes that Clerk should not send, and does.

        The value `users.OMITTED` leaves the field out.
        """
        with self._changing(user_id) as (user, now_ms):
            return self._put({**user, **fields}, user, "user.updated", now_ms)

    def merge_metadata(self, user_id: str, /, **patch: Any) -> dict[str, Any]:
        """Merge deeply, as PATCH /users/{id}/metadata: `public_metadata={"plan": "pro", "gone": None}`."""
        checked = forms.checked(forms.MERGE_METADATA, patch)
        with self._changing(user_id) as (user, now_ms):
            old = users.document(user)
            news = {name: forms.merged(old[name], value) for name, value in checked.items() if value is not None}
            return self._put({**user, **news}, user, "user.updated", now_ms)

    def replace_metadata(self, user_id: str, /, **metadata: Any) -> dict[str, Any]:
        """Replace each kind that is given, as PUT /users/{id}/metadata; `None` is kept as JSON null."""
        checked = forms.checked(forms.REPLACE_METADATA, metadata)
        with self._changing(user_id) as (user, now_ms):
            return self._put({**user, **checked}, user, "user.updated", now_ms)

    def set_banned(self, user_id: str, *, banned: bool) -> dict[str, Any]:
        """Ban or unban; a ban ends all sessions (Clerk docs, "Ban or unban users")."""
        with self._changing(user_id) as (user, now_ms):
            if banned:
                for session in self.sessions(user_id=user_id, status="active"):
                    self._end(session, "revoked", now_ms)
            return self._put({**user, "banned": banned}, user, "user.updated", now_ms)

    def set_locked(self, user_id: str, *, locked: bool) -> dict[str, Any]:
        """Lock or unlock; who is signed in stays so."""
        with self._changing(user_id) as (user, now_ms):
            return self._put({**user, **users.locked(yes=locked)}, user, "user.updated", now_ms)

    def add_email(self, user_id: str, email_address: str, *, verified: bool, primary: bool) -> dict[str, Any]:
        """Return the new entry of `email_addresses`."""
        with self._changing(user_id) as (user, now_ms):
            status = "verified" if verified else "unverified"
            entry = sample_email(self._new_id("idn"), email_address, now_ms=now_ms, status=status)
            self._put(users.with_email(user, entry, primary=primary), user, "user.updated", now_ms)
            return entry

    def remove_email(self, email_id: str) -> dict[str, Any]:
        with self._lock:
            for user in self._users:
                if users.has_entry(user, "email_addresses", email_id):
                    break
            else:
                raise not_found("email address", email_id)
            with self._changing(user["id"]) as (user, now_ms):
                self._put(users.without_email(user, email_id), user, "user.updated", now_ms)
            return {"id": email_id, "object": "email_address", "deleted": True}

    def delete(self, user_id: str) -> dict[str, Any]:
        """Delete the user and all sessions, for good."""
        with self._changing(user_id) as (user, now_ms):
            self._users.remove(user_id)
            self._deleted.add(user_id)
            for session in self.sessions(user_id=user_id, status="active"):
                self._end(session, "removed", now_ms)
            self._sessions = {key: kept for key, kept in self._sessions.items() if kept["user_id"] != user_id}
            gone = users.deleted(user)
            self._tell("user.deleted", gone, now_ms)
            return gone

    def take_in(self, event: str, data: Mapping[str, Any]) -> bool:
        """Apply the content of a webhook that another program sends, without sending one.

        The user is kept as it is in `data`, unchecked. Nothing happens, and False is returned, when it is older than
        what is known, or of a user who was deleted.
        """
        if event.startswith("session."):
            return self._take_in_end(event, data)
        user_id = data["id"]
        with self._lock:
            known = self._users.get(user_id)
            if event == "user.deleted":
                self._deleted.add(user_id)
                if known:
                    with self.quietly():
                        self.delete(user_id)
            elif user_id in self._deleted or (known and known["updated_at"] > data["updated_at"]):
                return False
            else:
                self._users.put(users.taken_in(data))
            self.changes += 1
            return True

    def _take_in_end(self, event: str, data: Mapping[str, Any]) -> bool:
        with self._lock:
            known = self._sessions.get(data["id"])
            if known is None or known["status"] != "active":
                return False
            self._sessions[data["id"]] = {**known, "status": event.partition(".")[2]}
            self.changes += 1
            return True

    def seed(self, count: int, *, seed: int = 1, created_from: int | None = None, step_ms: int = 1000) -> list[str]:
        """Create many users without announcing them, and return their ids, oldest first.

        Args:
            count: how many.
            seed: the same one makes the same users.
            created_from: when the first was created, ms; the last one is created just before now if left out.
            step_ms: from one to the next; 0 gives all the same time of creation.
        """
        chance = random.Random(seed)  # noqa: S311  # test data
        with self._lock:
            start = self.now_ms() - count * step_ms if created_from is None else created_from
            made = [_seeded(number, start + number * step_ms, chance) for number in range(count)]
            self._users.fill(made)
            self.changes += 1
        return [user["id"] for user in made]

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Change a user without sending a webhook, as if it were lost."""
        with self._lock:
            before, self._announces = self._announces, False
            try:
                yield
            finally:
                self._announces = before

    # Sessions.

    def sign_in(self, user_id: str, *, active_organization_id: str | None = None) -> dict[str, Any]:
        """Start a session, as POST /sessions; it moves `last_sign_in_at`, so `user.updated` follows."""
        with self._changing(user_id) as (user, now_ms):
            for flag, what in (("banned", "banned"), ("locked", "locked")):
                if user.get(flag):
                    raise forbidden(f"user_{flag}", f"This user is {what} and cannot sign in.")
            session = sample_session(
                self._new_id("sess"),
                user_id,
                now_ms=now_ms,
                client_id=self._new_id("client"),
                last_active_organization_id=active_organization_id,
            )
            self._sessions[session["id"]] = session
            times = {"last_sign_in_at": now_ms, "last_active_at": now_ms}
            self._put({**user, **times}, user, "user.updated", now_ms)
            return session

    def session(self, session_id: str) -> dict[str, Any]:
        with self._lock:
            found = self._sessions.get(session_id)
            if found is None:
                raise not_found("session", session_id)
            over = found["status"] == "active" and found["expire_at"] <= self.now_ms()
            return {**found, "status": "expired"} if over else dict(found)

    def sessions(
        self, *, user_id: str | None = None, client_id: str | None = None, status: str | None = None
    ) -> list[dict[str, Any]]:
        """Return sessions, newest first."""
        with self._lock:
            found = [self.session(session_id) for session_id in reversed(self._sessions)]
        return [
            session
            for session in found
            if user_id in (None, session["user_id"])
            and client_id in (None, session["client_id"])
            and status in (None, session["status"])
        ]

    def revoke_session(self, session_id: str) -> dict[str, Any]:
        """End it as an administrator does, by POST /sessions/{id}/revoke."""
        return self.end_session(session_id, "revoked")

    def end_session(self, session_id: str, status: SessionEnd = "ended") -> dict[str, Any]:
        """End it: `ended` or `removed` by its user, who signs out, or `revoked` by somebody else."""
        with self._lock:
            session = self.session(session_id)
            if session["status"] != "active":
                raise invalid_action(session_id, session["status"])
            return self._end(session, status, self.now_ms())

    # Keeping.

    def dump(self) -> dict[str, Any]:
        """Return everything, for `load`."""
        with self._lock:
            sessions = list(self._sessions.values())
            return {"users": list(self._users), "sessions": sessions, "deleted": sorted(self._deleted)}

    def load(self, kept: Mapping[str, Sequence[Any]]) -> None:
        with self._lock:
            self._users.fill(kept["users"])
            self._sessions = {session["id"]: session for session in kept["sessions"]}
            self._deleted = set(kept.get("deleted", ()))

    # Inside.

    def _new_id(self, kind: str) -> str:
        return new_id(kind, now_ms=self.now_ms(), random_bits=self._random.getrandbits)

    def _user(self, user_id: str) -> User:
        user = self._users.get(user_id)
        if user is None:
            raise not_found("user", user_id)
        return user

    @contextmanager
    def _changing(self, user_id: str) -> Iterator[tuple[User, int]]:
        with self._lock:
            user = self._user(user_id)
            # Two changes within a millisecond would have no order.
            yield user, max(self.now_ms(), user["updated_at"] + 1)

    def _end(self, session: Session, status: SessionEnd, now_ms: int) -> dict[str, Any]:
        ended = {**session, "status": status, "updated_at": now_ms}
        self._sessions[session["id"]] = ended
        self._tell(f"session.{status}", dict(ended), now_ms)
        return dict(ended)

    def _put(self, user: User, old: User | None, event: str, now_ms: int) -> dict[str, Any]:
        # Those that it had already may be another's too: what was taken in was not checked.
        before = users.identifiers(old) if old else []
        for identifier in users.identifiers(user):
            if identifier not in before and self._users.owner(identifier) not in (None, user["id"]):
                raise taken(identifier[0])
        for name in forms.METADATA:
            if name in user and (old is None or user[name] is not old.get(name)):
                forms.check_size(name, user[name])
        user = {**user, "updated_at": now_ms}
        self._users.put(user)
        self._tell(event, users.event_data(user), now_ms)
        return users.document(user)

    def _tell(self, event: str, data: dict[str, Any], now_ms: int) -> None:
        self.changes += 1
        if self._announces and self._on_event:
            self._on_event(event, data, now_ms)


def _seeded(number: int, created_at: int, chance: random.Random) -> User:
    user_id = new_id("user", now_ms=created_at, random_bits=chance.getrandbits)
    email = sample_email(f"idn_{user_id[5:]}", f"user{number}@example.org", now_ms=created_at)
    return {
        "id": user_id,
        "created_at": created_at,
        "updated_at": created_at,
        "first_name": f"First{number}",
        "last_name": f"Last{number}",
        "email_addresses": [email],
        "primary_email_address_id": email["id"],
    }
