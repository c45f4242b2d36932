"""Repair a user whose version went back, for example after a failover that lost commits."""

from collections.abc import Callable

from attrs import evolve

from domain.decision import Decision, Outcome
from domain.events import UserDeleted, UserUpdated
from domain.user import Known, Tombstone


def overtake(known: Known, news: Callable[[Known], Decision], published: int) -> Decision:
    """Apply the snapshot or deletion, and always publish above `published`, which consumers have seen and drop."""
    decision = news(known)
    if decision.events and decision.user.version > published:
        return decision
    user = evolve(decision.user, version=max(decision.user.version, published) + 1)
    if isinstance(user, Tombstone):
        return Decision(outcome=Outcome.DELETED, user=user, events=(UserDeleted(user),))
    return Decision(outcome=Outcome.UPDATED, user=user, events=(UserUpdated(user, ()),))
