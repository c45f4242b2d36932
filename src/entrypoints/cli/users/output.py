"""What `auth-service users` writes: tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from application.users.ports import Listed, Unreadable
from application.users.representation import profile_document, rfc3339
from domain.snapshot import Snapshot
from domain.user import Profile, User, UserId
from entrypoints.cli.output import Row, print_fields, print_table
from entrypoints.cli.users.failures import Failure


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
    print_fields([(name, _shown(name, value)) for name, value in profile_document(user).items()])


def print_list(users: Sequence[User]) -> None:
    rows = [(user.id, str(user.version), *_columns(user.profile, user.updated_at)) for user in users]
    print_table(("id", "version", "email", "name", "flags", "updated"), rows)


def print_listed(users: Sequence[Listed]) -> None:
    rows: list[Row] = []
    for user in users:
        match user:
            case Snapshot():
                rows.append((user.id, *_columns(user.profile, user.source.updated_at), ""))
            case Unreadable():
                rows.append((user.id, "", "", "", "", Text(user.reason, "yellow")))
    print_table(("id", "email", "name", "flags", "updated", "unreadable"), rows, prose={"unreadable"})


def print_failure(user_id: UserId, failure: Failure, *, as_json: bool) -> None:
    """Print why an action failed; for scripts in the order of the results."""
    if as_json:
        print_json([{"id": user_id, "error": failure.code, "message": failure.message}])
    else:
        print(f"{user_id}: {failure.message}", file=sys.stderr, flush=True)


def _columns(profile: Profile, updated_at: int) -> tuple[str, str, str, str]:
    name = " ".join(filter(None, (profile.first_name, profile.last_name))) or profile.username or ""
    flags = {
        "banned": profile.banned,
        "locked": profile.locked,
        "unverified": profile.email is not None and not profile.email_verified,
    }
    shown = ",".join(flag for flag, is_set in flags.items() if is_set)
    return profile.email or "", name, shown, f"{rfc3339(updated_at)[:19]}Z"


def _shown(name: str, value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() if name == "emails":
            entries = (f"{entry['email']} ({entry['status'] or 'unverified'})" for entry in value)
            return ", ".join(entries) or "-"
        case str():
            return value
    return json.dumps(value, ensure_ascii=False)
