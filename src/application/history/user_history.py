"""What happened to one user: each version with what changed, and where its event is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from attrs import field, frozen

from application.errors import UserUnknownError
from application.history import ports
from application.relay.ports import Record
from application.users.ports import UserReader
from application.users.representation import rfc3339
from domain.user import Known, Tombstone, UserId

_LONGEST_SEQUENCE = 40
_VERSIONS_END = 2**63
"""The largest value of the column, and the largest version that consumers accept."""

_SAID_ELSEWHERE = {"id", "version", "updated_at"}
_OF_A_TOMBSTONE = {"id", "version", "deleted_at"}


@frozen(kw_only=True)
class Change:
    """A field that differs from the version before."""

    field: str  # its name in the profile; a field in an object has a path, such as `public_metadata.plan`
    before: Any
    after: Any
    before_known: bool = True  # absent when the version before is not found any more


@frozen(kw_only=True)
class Version:
    number: int
    type: str  # the CloudEvents type
    time: str  # when it changed at Clerk (RFC 3339)
    traceparent: str | None
    published: Sequence[Record] = ()  # where it is in the topic; more than once when it was delivered again
    waiting: ports.WaitingEvent | None = None
    dead: ports.DeadEvent | None = None
    changed: Sequence[str] = ()  # names of the profile's fields, as the event has them
    changes: Sequence[Change] | None = field(default=None, repr=False)
    """None if the values were removed, or are not shown because the user was deleted."""

    @property
    def trace_id(self) -> str | None:
        """Of W3C Trace Context."""
        parts = (self.traceparent or "").split("-")
        return parts[1] if len(parts) > 1 else None


@frozen(kw_only=True)
class UserHistory:
    id: UserId
    row: Known
    deleted: bool
    versions: Sequence[Version]
    missing: Sequence[tuple[int, int]]
    """The first and last of consecutive versions that are neither in the database nor in the searched partitions."""
    unreadable: Sequence[Record]  # records of the user's key, or unreadable ones, that are not events of this service
    sessions: Sequence[ports.EndedSession]
    search: ports.TopicSearch


@frozen
class ReadHistory:
    users: UserReader
    traces: ports.StoredTracesReader
    topics: ports.SearchTopics
    topic: str

    async def __call__(self, user_id: UserId, *, all_partitions: bool = False) -> UserHistory:
        """Return what is left of the user's history; Clerk is not asked.

        The database is read first: an event that a relay publishes meanwhile is found in the topic.

        Raises:
            UserUnknownError: there is neither a row nor an event.
            StoreUnavailableError, BrokerUnavailableError: the history could not be read.
        """
        row = await self.users.get(user_id)
        stored = await self.traces.of_user(user_id)
        search = await self.topics.by_key(self.topic, user_id, all_partitions=all_partitions)
        history = history_of(user_id, row, stored, search)
        if not (row or history.versions or history.unreadable or history.sessions):
            raise UserUnknownError
        return history


def history_of(user_id: UserId, row: Known, stored: ports.StoredTraces, search: ports.TopicSearch) -> UserHistory:
    """Merge what each place has of each version; for a deleted user no value is shown, even if one is left."""
    published: dict[int, list[Record]] = {}
    unreadable = []
    for record in search.records:
        if (number := _version(record)) is None:
            unreadable.append(record)
        else:
            published.setdefault(number, []).append(record)
    # A message that is in the topic may not have left the outbox yet, or was retried out of the dead letters.
    waiting = {event.version: event for event in stored.waiting if event.version not in published}
    dead = {event.version: event for event in stored.dead if event.version not in published}
    numbers = sorted({*published, *(n for n, event in waiting.items() if not event.state_only), *dead})
    documents = {
        number: document_of(published[number][0].value if number in published else (waiting | dead)[number].payload)
        for number in numbers
    }
    deleted = isinstance(row, Tombstone) or any(is_tombstone(document) for document in documents.values())

    def version(number: int) -> Version:
        document, records = documents[number], published.get(number, ())
        event: ports.StoredEvent | None = waiting.get(number) or dead.get(number)
        headers = records[0].headers if records else {}
        return Version(
            number=number,
            type=event.type if event else headers.get("ce_type", ""),
            time=rfc3339(event.occurred_at) if event else headers.get("ce_time", ""),
            traceparent=event.traceparent if event else headers.get("traceparent"),
            published=records,
            waiting=waiting.get(number),
            dead=dead.get(number),
            changed=_named_as_changed(document),
            changes=None if deleted or document is None else [*_changes(number, documents)],
        )

    return UserHistory(
        id=user_id,
        row=row,
        deleted=deleted,
        versions=[version(number) for number in numbers],
        missing=[*_gaps(numbers, row.version if row else 0)],
        unreadable=unreadable,
        sessions=stored.sessions,
        search=search,
    )


def _gaps(numbers: Sequence[int], newest: int) -> Iterator[tuple[int, int]]:
    for before, after in pairwise([0, *numbers, max([newest, *numbers]) + 1]):
        if after - before > 1:
            yield before + 1, after - 1


def document_of(value: bytes | None) -> Mapping[str, Any] | None:
    """Return an event's value as a JSON object; None if it is anything else."""
    try:
        document = json.loads(value or b"null")
        json.dumps(document, allow_nan=False)  # Python reads NaN, which is no JSON
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("user"), dict) else None


def is_tombstone(document: Mapping[str, Any] | None) -> bool:
    """Tell whether an event says only that its user was deleted."""
    return document is not None and "deleted_at" in document["user"] and document["user"].keys() <= _OF_A_TOMBSTONE


def _named_as_changed(document: Mapping[str, Any] | None) -> Sequence[str]:
    names = document.get("changed") if document else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _changes(number: int, documents: Mapping[int, Mapping[str, Any] | None]) -> Iterator[Change]:
    after = _flat(documents[number])
    before = {} if number == 1 else _flat(documents.get(number - 1))
    if number > 1 and documents.get(number - 1) is None:
        named = _named_as_changed(documents[number])
        for name, value in after.items():
            if name.partition(".")[0] in named:
                yield Change(field=name, before=None, after=value, before_known=False)
        return
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        # As JSON, where 1 and true differ.
        differ = json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True)
        if differ and not (number == 1 and new in (False, [], {})):
            yield Change(field=name, before=old, after=new)


def _flat(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the profile's fields, those of public metadata by their path."""
    user = document["user"] if document else {}
    fields = {name: value for name, value in user.items() if name not in _SAID_ELSEWHERE}
    metadata = fields.get("public_metadata")
    if isinstance(metadata, dict):
        del fields["public_metadata"]
        fields |= {f"public_metadata.{name}": value for name, value in metadata.items()}
    return fields


def _version(record: Record) -> int | None:
    """Return the version that the event's headers name; None when it is no event of a user."""
    sequence = record.headers.get("ce_sequence", "")
    known = record.readable and record.headers.get("ce_type", "").startswith("anomalyze.user.")
    number = int(sequence) if sequence.isascii() and sequence.isdecimal() and len(sequence) <= _LONGEST_SEQUENCE else 0
    return number if known and 0 < number < _VERSIONS_END else None
