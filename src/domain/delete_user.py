"""What a deletion does: it overrides every other change, permanently."""

from domain.decision import Decision, Outcome
from domain.events import UserDeleted
from domain.snapshot import Deletion
from domain.user import Known, Tombstone


def delete_user(known: Known, deletion: Deletion) -> Decision:
    """Leave a tombstone, also for an unknown user, whose earlier webhooks may still arrive."""
    if isinstance(known, Tombstone):
        return Decision(outcome=Outcome.UNCHANGED, user=known)

    version = 1 if known is None else known.version + 1
    tombstone = Tombstone(id=deletion.id, version=version, deleted_at=deletion.deleted_at)
    return Decision(outcome=Outcome.DELETED, user=tombstone, events=(UserDeleted(tombstone),))
