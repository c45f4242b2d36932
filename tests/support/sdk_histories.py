"""Records in any order and number, and what the Python SDK makes of them: another SDK has to make the same."""

import base64
import random
from collections.abc import Mapping
from typing import Any

from anomalyze_auth._revoked import Revoked
from anomalyze_auth.consumer import InMemoryLastSeen, UserEvents
from anomalyze_auth.events import UnusableEvent, UserEvent, decode
from anomalyze_auth.sessions import decode_session
from anomalyze_auth.state import UserStates, decode_state
from devkit.conformance.consumer_vectors import Record, record

USERS = ("user_a", "user_b", "user_c")
SESSIONS = ("sess_1", "sess_2")
_SPOILT: dict[str, dict[str, Any]] = {
    "unknown": {"headers": {"ce_type": "anomalyze.user.updated.v2"}},
    "no headers": {"headers": {"ce_specversion": None}},
    "wrong subject": {"headers": {"ce_subject": "user_z"}},
    "no value": {"value": None},
}


async def history(dice: random.Random, length: int = 30) -> dict[str, Any]:
    """Return records of all three topics, and what is known after them; versions come twice, late and with gaps."""
    rows = [_row(dice) for _ in range(length)]
    records = [record(row, dice.choice(USERS), dice.choice(SESSIONS)) for row in rows]
    users, revoked, handled = UserStates(), Revoked(keep=60, most=100), list[str]()
    events = UserEvents(InMemoryLastSeen(), on_unusable=_ignore)

    async def handle(event: UserEvent) -> None:
        handled.append(f"{event.user_id} {event.version} {type(event).__name__}")

    for row, made in zip(rows, records, strict=True):
        try:
            match row["event"]:
                case "state" | "gone":
                    users.apply(decode_state(made.headers, made.key, made.value))
                case "revoked":
                    revoked.apply(decode_session(made.headers, made.value), now=0)
                case _:
                    await events.deliver(made.headers, made.value, handle)
                    event = decode(made.headers, made.value)
                    users.apply(event)
                    revoked.apply(event, now=0)
        except UnusableEvent:
            continue
    return {
        "records": [{"event": row["event"], **encoded(made)} for row, made in zip(rows, records, strict=True)],
        "handled": handled,
        "users": {user.id: [user.version, user.first_name, user.banned] for user in users.values()},
        "verdicts": [revoked.verdict(session, user) for session in SESSIONS for user in USERS],
    }


def _row(dice: random.Random) -> Mapping[str, Any]:
    event = dice.choice(["created", *["updated"] * 4, "deleted", *["state"] * 2, "gone", "revoked"])
    row: dict[str, Any] = {"event": event, "version": dice.randrange(1, 7), "user": {"banned": dice.random() < 0.4}}
    return {**row, **(_SPOILT[dice.choice([*_SPOILT])] if dice.random() < 0.2 else {})}


async def _ignore(_: UnusableEvent) -> None:
    pass


def encoded(made: Record) -> dict[str, Any]:
    return {
        "key": base64.b64encode(made.key).decode(),
        "headers": [
            [name, None if value is None else base64.b64encode(value).decode()] for name, value in made.headers
        ],
        "value": None if made.value is None else base64.b64encode(made.value).decode(),
    }
