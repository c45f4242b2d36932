"""Whether a snapshot from Clerk changes the stored user, and how."""

from attrs import evolve

from domain.decision import Decision, Outcome
from domain.events import UserCreated, UserUpdated
from domain.snapshot import Snapshot, changed_fields
from domain.user import Known, Tombstone, User


def sync_user(known: Known, snapshot: Snapshot) -> Decision:
    """Apply `snapshot` if nothing newer is known and the user was not deleted.

    The answer depends on our row and the snapshot alone, not on Clerk's event name: a `user.updated` that
    overtakes its `user.created` creates the user, and the `created` that follows is stale.
    """
    if isinstance(known, Tombstone):
        return Decision(outcome=Outcome.STALE, user=known)  # a deleted user is never restored

    if known is not None:
        if snapshot.source < known.source:
            return Decision(outcome=Outcome.STALE, user=known)  # a newer snapshot was applied already
        if snapshot.source == known.source:
            return Decision(outcome=Outcome.UNCHANGED, user=known)  # the same snapshot again
        if snapshot.source.digest == known.source.digest:
            # Most of Clerk's updates (every sign-in) change nothing that we keep: store the place, publish no event.
            return Decision(outcome=Outcome.UNCHANGED, user=evolve(known, source=snapshot.source))

    user = User(
        id=snapshot.id,
        version=1 if known is None else known.version + 1,
        profile=snapshot.profile,
        updated_at=snapshot.source.updated_at,
        source=snapshot.source,
    )
    if known is None:
        return Decision(outcome=Outcome.CREATED, user=user, events=(UserCreated(user),))
    changed = changed_fields(known.profile, snapshot.profile)
    return Decision(outcome=Outcome.UPDATED, user=user, events=(UserUpdated(user, changed),))
