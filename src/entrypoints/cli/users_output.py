"""What `auth-service users` writes: tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from application.ports import Listed, Unreadable
from application.profile import profile_document, rfc3339
from domain.snapshot import Snapshot
from domain.user import Profile, User, UserId
from entrypoints.cli.users_failures import Failure
from entrypoints.local.program import console_for_stdout, printable


def as_listed(listed: Listed) -> Mapping[str, Any]:
    """Return what Clerk has in the published shape; there is no version, as versions are ours."""
    if isinstance(listed, Unreadable):
        return {"id": listed.id, "unreadable": listed.reason}
    user = User(
        id=listed.id, version=0, profile=listed.profile, updated_at=listed.source.updated_at, source=listed.source
    )
    return {**profile_document(user), "version": None}


def print_json(documents: Iterable[Any]) -> None:
    """Print one document a line."""
    for document in documents:
        print(json.dumps(document))
    sys.stdout.flush()


def print_user(user: User) -> None:
    """Print every field, one under the other."""
    table = Table.grid(padding=(0, 3))
    for name, value in profile_document(user).items():
        table.add_row(Text(name, "dim"), Text(_shown(name, value)))
    console_for_stdout().print(table)


def print_list(users: Sequence[User]) -> None:
    table = Table("id", "version", "email", "name", "", "updated")
    for user in users:
        table.add_row(user.id, str(user.version), *_columns(user.profile, user.updated_at))
    console_for_stdout().print(table)


def print_listed(users: Sequence[Listed]) -> None:
    table = Table("id", "email", "name", "", "updated")
    for user in users:
        match user:
            case Snapshot():
                table.add_row(user.id, *_columns(user.profile, user.source.updated_at))
            case Unreadable():
                table.add_row(Text(printable(user.id)), Text(f"unreadable: {printable(user.reason)}", "yellow"))
    console_for_stdout().print(table)


def print_failure(user_id: UserId, failure: Failure, *, as_json: bool) -> None:
    """Print why nothing, or nobody knows what, was done: for scripts among the results, in their order."""
    if as_json:
        print_json([{"id": user_id, "error": failure.code, "message": failure.message}])
    else:
        print(f"{user_id}: {failure.message}", file=sys.stderr, flush=True)


def _columns(profile: Profile, updated_at: int) -> tuple[Text, Text, Text, str]:
    name = " ".join(filter(None, (profile.first_name, profile.last_name))) or profile.username or ""
    email = (profile.email or "") + ("" if profile.email_verified or not profile.email else " (unverified)")
    flags = ", ".join(flag for flag in ("banned", "locked") if getattr(profile, flag))
    return Text(printable(email)), Text(printable(name)), Text(flags, "red"), f"{rfc3339(updated_at)[:19]}Z"


def _shown(name: str, value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() if name == "emails":
            entries = (f"{entry['email']} ({entry['status'] or 'unverified'})" for entry in value)
            return printable(", ".join(entries)) or "-"
        case str():
            return printable(value)
    return printable(json.dumps(value, ensure_ascii=False))
