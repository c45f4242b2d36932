"""Deliveries as the sender of webhooks reports them, without one."""

import itertools
import json
from collections.abc import Callable

import pytest

from devkit.console.records import Event, Records
from devkit.console.views import Parameters, Views
from devkit.fake_clerk.deliveries import DeliveryAttempt
from devkit.fake_clerk.instance import ClerkInstance
from devkit.fake_clerk.samples import sample_deleted_user, sample_event, sample_session, sample_user

T1, T2 = 1_795_946_401_200, 1_795_946_402_100
"""10:00:01.200 and 10:00:02.100 UTC."""

_numbers = itertools.count(1)


def attempt(event="user.updated", data=None, *, outcome=200, answer="updated", at=T1, timestamp=None, **changes):
    number = next(_numbers)
    data = sample_user("user_ada", now_ms=1_700_000_000_000, updated_at=at) if data is None else data
    shown = {"outcome": answer} if outcome == 200 else {"detail": answer}
    written = answer if isinstance(answer, bytes) else json.dumps(shown).encode()
    return DeliveryAttempt(
        **{
            "svix_id": f"msg_{number}",
            "event": event,
            "user_id": data.get("user_id") or data.get("id") or "user_ada",
            "url": "http://127.0.0.1:3002/webhooks/clerk",
            "number": 1,
            "outcome": outcome,
            "body": json.dumps(sample_event(event, data, timestamp_ms=timestamp or at)).encode(),
            "answer": written,
            "at_ms": at,
            "trace_id": f"{number:032x}",
            **changes,
        }
    )


def user(user_id="user_ada", *, at=T1, **fields):
    return sample_user(user_id, now_ms=1_700_000_000_000, updated_at=at, **fields)


def deletion(user_id="user_ada"):
    return sample_deleted_user(user_id)


def session(user_id="user_ada"):
    return sample_session("sess_1", user_id, now_ms=T1)


def event(version, user_id="user_ada", *, trace_id="", changed=(), state="published", **profile):
    document = {"id": user_id, "version": version, "first_name": "Ada", "email": "ada@example.org", **profile}
    return Event(
        id=f"00000000-0000-0000-0000-{next(_numbers):012d}",
        type=f"anomalyze.user.{'created' if version == 1 else 'updated'}.v1",
        user_id=user_id,
        version=version,
        time="2026-11-29T10:00:01.200Z",
        data={"user": document, "changed": list(changed)},
        trace_id=trace_id,
        state=state,
        partition=3 if state == "published" else None,
        offset=version + 40 if state == "published" else None,
    )


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def reason(records: Records) -> Callable[..., str]:
    """Return what the row of the newest delivery says."""

    def of() -> str:
        views = Views(records, ClerkInstance(now_ms=lambda: T1))
        return str(views.view(Parameters())["deliveries"][0]["why"])

    return of
