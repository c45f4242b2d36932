"""What `auth-service users history` and `users erased` write."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from attrs import asdict
from rich.text import Text

from application.counting import counted
from application.history.erasure import Erasure, Place
from application.history.user_history import UserHistory, Version
from application.relay.messages import kind_of
from application.users.representation import rfc3339, user_document
from domain.user import Tombstone
from entrypoints.cli.event_kind import kind_text
from entrypoints.cli.output import flush, print_table
from entrypoints.cli.terminal import console_for_stdout, on_terminal, printable

_COLUMNS = ("version", "event", "time", "where", "trace", "field", "before", "after")
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999


def history_document(history: UserHistory) -> dict[str, Any]:
    return {
        "id": history.id,
        "deleted": history.deleted,
        "row": user_document(history.row) if history.row else None,
        "versions": [_version_document(version) for version in history.versions],
        "missing": [{"first": first, "last": last} for first, last in history.missing],
        "unreadable": [{"partition": record.partition, "offset": record.offset} for record in history.unreadable],
        "ended_sessions": [
            {"id": session.id, "revoked_at": rfc3339(session.revoked_at)} for session in history.sessions
        ],
        "topic": {
            "name": history.search.topic,
            "partitions": history.search.partitions,
            "searched": list(history.search.searched),
        },
    }


def _version_document(version: Version) -> dict[str, Any]:
    dead = version.dead
    return {
        "version": version.number,
        "type": version.type,
        "time": version.time,
        "trace_id": version.trace_id,
        "published": [
            {"partition": record.partition, "offset": record.offset, "time": _moment(record.timestamp)}
            for record in version.published
        ],
        "waiting_since": rfc3339(version.waiting.stored_at) if version.waiting else None,
        "dead_letter": dead and {"id": dead.id, "error": dead.error, "died_at": rfc3339(dead.died_at)},
        "changed": list(version.changed),
        "changes": None
        if version.changes is None
        else [
            {"field": change.field, **({"before": change.before} if change.before_known else {}), "after": change.after}
            for change in version.changes
        ],
    }


def print_history(history: UserHistory) -> None:
    """Print each version with its changes below it; piped, a table with a line for each change."""
    if on_terminal():
        console = console_for_stdout()
        console.print(Text(f"{history.id}  {_row_of(history)}"))
        for line in (line for version in history.versions for line in _lines(version)):
            console.print(line)
    else:
        print_table(_COLUMNS, [row for version in history.versions for row in _rows(version)])
    flush()
    for note in _notes(history):
        print(printable(note), file=sys.stderr)


def _row_of(history: UserHistory) -> str:
    match history.row:
        case None:
            return "no row"
        case Tombstone(version=version, deleted_at=at):
            return f"deleted {rfc3339(at)} (version {version})"
        case user:
            return f"version {user.version}, updated {rfc3339(user.updated_at)}"


def _notes(history: UserHistory) -> Iterator[str]:
    if history.deleted:
        yield "The user is deleted: values are not shown. What is left of them, and for how long: users erased."
    search = history.search
    everywhere = len(search.searched) == search.partitions
    if not history.versions:
        yield f"There is no event of the user in {search.topic}, the outbox and the dead letters."
    elif history.missing:
        ranges = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in history.missing)
        where = "any partition" if everywhere else f"partition {search.searched[0]}"
        yield f"Not in {where} of {search.topic}, the outbox or the dead letters: version {ranges}."
    if history.missing:
        yield "The topic's retention has removed them" + (
            "." if everywhere else ", or they are from before partitions were added: --all-partitions looks there too."
        )
    for record in history.unreadable:
        yield f"Not an event of ours: partition {record.partition} offset {record.offset}."
    for session in history.sessions:
        yield f"Session {session.id} ended {rfc3339(session.revoked_at)}."


def _places(version: Version) -> Iterator[str]:
    for record in version.published:
        yield f"partition {record.partition} offset {record.offset} {_moment(record.timestamp)}"
    if version.waiting:
        yield f"outbox since {rfc3339(version.waiting.stored_at)}"
    if dead := version.dead:
        discarded = ", discarded" if dead.discarded_at else ""
        yield f"dead letter {dead.id} {rfc3339(dead.died_at)}: {dead.error}{discarded}"


def _lines(version: Version) -> Iterator[Text]:
    head = Text.assemble("\n", (f"version {version.number}", "bold"), "  ", kind_text(kind_of(version.type)))
    yield head.append(f"  {printable(version.time)}", "dim")
    for place in _places(version):
        yield Text(f"  {printable(place)}", "dim")
    if version.trace_id:
        yield Text(f"  trace {printable(version.trace_id)}", "dim")
    if version.changes is None and version.changed:
        yield Text(f"  changed: {printable(', '.join(version.changed))}")
    for change in version.changes or ():
        if change.before is not None or not change.before_known:
            before = _shown(change.before) if change.before_known else "(of a version that is missing)"
            yield Text(f"  - {printable(change.field)}  {before}", "red")
        if change.after is not None:
            yield Text(f"  + {printable(change.field)}  {_shown(change.after)}", "green")


def _rows(version: Version) -> Iterator[tuple[str, ...]]:
    places = "; ".join(_places(version))
    about = (str(version.number), kind_of(version.type), version.time, places, version.trace_id or "")
    changes = version.changes
    if changes is None:
        yield from ((*about, name, "", "") for name in version.changed or ("",))
    else:
        shown = [
            (change.field, _shown(change.before) if change.before_known else "?", _shown(change.after))
            for change in changes
        ]
        yield from ((*about, *change) for change in shown or [("", "", "")])


def _moment(ms: int) -> str:
    """Return a time that a producer may have set to anything, within the years that RFC 3339 can write."""
    return rfc3339(min(max(ms, 0), _LATEST_MS))


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def erasure_document(erasure: Erasure, now_ms: int) -> dict[str, Any]:
    return {
        "id": erasure.id,
        "deleted": erasure.deleted,
        "places": [
            {
                **asdict(place),
                "until": None if place.until is None else _moment(place.until),
                "overdue": place.is_due(now_ms),
            }
            for place in erasure.places
        ],
    }


def print_erasure(erasure: Erasure, now_ms: int) -> None:
    rows = [(place.name, place.what, Text(*_when(place, now_ms)), place.why) for place in erasure.places]
    print_table(("place", "left", "gone by", "why"), rows, prose={"left", "why"})
    flush()
    due = sum(place.is_due(now_ms) for place in erasure.places)
    if not erasure.deleted:
        print(f"{erasure.id} is not deleted here.", file=sys.stderr)
    if due:
        print(f"Left without a date to come: {counted(due, 'place')}.", file=sys.stderr)


def _when(place: Place, now_ms: int) -> tuple[str, str]:
    if place.left == 0:
        return "", ""
    if place.until is None:
        return "unknown" if "unknown" in place.what + place.why else "no date", "red"
    return f"{_moment(place.until)[:19]}Z", "red" if place.is_due(now_ms) else ""
