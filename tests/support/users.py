"""Users for tests: small builders, and what hypothesis may throw at us."""

from typing import Any

from attrs import evolve
from hypothesis import strategies as st

from domain.snapshot import Deletion, Snapshot
from domain.user import EmailAddress, Profile, UserId

USER = UserId("user_2abcDEF")

PROFILE = Profile(
    email="ada@example.org",
    email_verified=True,
    emails=(EmailAddress(id="idn_1", email="ada@example.org", verified=True, status="verified"),),
    phone=None,
    username=None,
    first_name="Ada",
    last_name="Lovelace",
    image_url="https://img.example.org/ada",
    external_id=None,
    public_metadata={"plan": "free"},
    banned=False,
    locked=False,
    created_at=1_700_000_000_000,
)


def profile(**changes: Any) -> Profile:
    return evolve(PROFILE, **changes)


def snapshot(user_id: UserId = USER, *, at: int = 1000, timestamp: int | None = None, **changes: Any) -> Snapshot:
    """A snapshot that Clerk made at `at` (ms)."""
    return Snapshot.of(user_id, profile(**changes), updated_at=at, timestamp=at if timestamp is None else timestamp)


def deletion(user_id: UserId = USER, *, at: int = 9000) -> Deletion:
    return Deletion(id=user_id, deleted_at=at)


# Few values, so that equal times and equal contents, the interesting cases, are frequent.
_few_times = st.integers(1000, 1004)
_metadata = st.sampled_from([{}, {"n": 1}, {"n": True}, {"n": 1.0}, {"n": {"deep": [None]}}, {"s": "\x00"}])

snapshots = st.builds(
    lambda at, late, first_name, public_metadata, banned: snapshot(
        at=at, timestamp=at + late, first_name=first_name, public_metadata=public_metadata, banned=banned
    ),
    _few_times,
    st.integers(0, 2),
    st.sampled_from(["Ada", "Grace", None]),
    _metadata,
    st.booleans(),
)
deletions = st.just(deletion())
"""Clerk deletes a user once; the delivery may come many times."""
