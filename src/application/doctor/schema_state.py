"""How a database's schema relates to this version of the service, from Alembic's table."""

from collections.abc import Sequence
from enum import Enum, auto


class SchemaState(Enum):
    EMPTY = auto()  # never migrated
    BEHIND = auto()
    CURRENT = auto()
    NEWER = auto()  # a newer release migrated it, which always fits the release before it (docs/zero-downtime.md)
    FOREIGN = auto()  # `alembic_version` is another application's


def schema_state(revisions: Sequence[str], known: Sequence[str], *, has_tables: bool) -> SchemaState:
    """Judge the revisions in `alembic_version`.

    `known` are those of this version, oldest first: numbers of one length. Other applications may use such numbers
    too, so a revision alone proves nothing: `has_tables` says whether our tables are there.
    """
    if not revisions:
        return SchemaState.EMPTY
    [revision, *more] = revisions
    if more or not has_tables:
        return SchemaState.FOREIGN
    if revision in known:
        return SchemaState.CURRENT if revision == known[-1] else SchemaState.BEHIND
    is_ours = revision.isdecimal() and len(revision) == len(known[-1]) and revision > known[-1]
    return SchemaState.NEWER if is_ours else SchemaState.FOREIGN
