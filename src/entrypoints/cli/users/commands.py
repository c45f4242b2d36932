"""`auth-service users`: look users up, and act on them at Clerk."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from application.counting import counted
from application.reconcile.options import PAGE
from application.users.manage_users import ManageUsers
from application.users.metadata_depth import MAX_METADATA_DEPTH, is_too_deep
from application.users.ports import Listed
from application.users.representation import profile_document, user_document
from domain.decision import Decision
from domain.user import User, UserId
from entrypoints.cli.confirmation import Yes, confirm
from entrypoints.cli.exit_codes import EX_USAGE
from entrypoints.cli.options import between
from entrypoints.cli.terminal import fail
from entrypoints.cli.users import output
from entrypoints.cli.users.history import erased, history
from entrypoints.cli.users.outcomes import Action, outcome_of
from entrypoints.cli.users.running import or_say, run, run_for_each, user_ids
from entrypoints.composition.serve import ServeContainer

app = App(
    name="users",
    help="Look users up, and act on them at Clerk. Exit status: 0 done; 2 wrong usage, and nothing was done; 65 the "
    "database refuses the content, or a safety stop; 67 no such user, or deleted; 69 Clerk, Kafka or the database is "
    "out of reach, and trying again is safe; 77 Clerk refuses; 78 a variable is missing or wrong; 1 several of these, "
    "for several users.",
)

app.command(history)
app.command(erased)

Ids = Annotated[str, Parameter(help="Who (`user_…`), as many as you like.")]
Json = Annotated[bool, Parameter(help="One object a line, for other programs.", negative="")]

UseCase = Callable[[ManageUsers, UserId], Awaitable[Decision]]


@app.command
def get(*ids: Ids, json: Json = False) -> None:
    """Show users with all stored fields. Needs DATABASE_URL.

    With CLERK_SECRET_KEY a user whose webhook has not arrived yet is read from Clerk. The objects of --json have
    the shape of `/v1/me` and of the events.
    """

    def show(_: UserId, user: User) -> None:
        if json:
            output.print_json([profile_document(user)])
        else:
            output.print_user(user)

    run_for_each(user_ids(ids), lambda container: container.get_user(), show, as_json=json)


@app.command(name="list")
def list_users(  # noqa: PLR0913  # the options of a command
    *,
    email: str | None = None,
    banned: bool | None = None,
    locked: bool | None = None,
    limit: Annotated[int, between(1, 10_000)] = 50,
    after: str | None = None,
    at_clerk: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """List users in the order of their ids, from the table. Needs DATABASE_URL.

    Args:
        email: Only those with this primary email, in any case.
        banned: Only those who are banned, or are not.
        locked: Only those who are locked, or are not.
        limit: At most so many.
        after: Continue after this id, the last one of the previous list.
        at_clerk: What Clerk has, the last changed first; needs CLERK_SECRET_KEY, and takes --limit alone.
    """
    if at_clerk:
        if (email, banned, locked, after) != (None, None, None, None):
            fail("--at-clerk takes --limit alone.", EX_USAGE)
        _show_listed(run(lambda container: _at_clerk(container, limit)), as_json=json)
        return
    if email is not None and (banned, locked, after) != (None, None, None):
        fail("--email takes --limit alone: few users have one address.", EX_USAGE)
    start = user_ids([after])[0] if after is not None else None

    async def found(container: ServeContainer) -> Sequence[User]:
        directory = container.user_directory()
        if email is not None:
            return await directory.by_email(email, limit=limit)
        return await directory.page(after=start, limit=limit, banned=banned, locked=locked)

    users = run(found)
    if json:
        output.print_json(profile_document(user) for user in users)
    elif not users:
        print("There are no such users.", file=sys.stderr)
    else:
        output.print_list(users)
        if email is None and len(users) == limit:
            print(f"There may be more: --after {users[-1].id}", file=sys.stderr)


@app.command
def ban(*ids: Ids, yes: Yes = False, json: Json = False) -> None:
    """End the users' sessions and refuse new ones, until unbanned."""
    question = "Ban {who}? All their sessions end, and they cannot sign in until unbanned."
    _act(ids, Action.BAN, ManageUsers.ban, ask=question, yes=yes, json=json)


@app.command
def unban(*ids: Ids, json: Json = False) -> None:
    """Let the users sign in again."""
    _act(ids, Action.UNBAN, ManageUsers.unban, json=json)


@app.command
def lock(*ids: Ids, yes: Yes = False, json: Json = False) -> None:
    """Refuse the users' sign-ins for the time that the Clerk instance is set to; their sessions continue."""
    question = "Lock {who}? No sign-in until the lock ends; sessions go on."
    _act(ids, Action.LOCK, ManageUsers.lock, ask=question, yes=yes, json=json)


@app.command
def unlock(*ids: Ids, json: Json = False) -> None:
    """Let the users sign in again before the lock ends by itself."""
    _act(ids, Action.UNLOCK, ManageUsers.unlock, json=json)


@app.command
def sync(*ids: Ids, yes: Yes = False, json: Json = False) -> None:
    """Read the users from Clerk, and repair their rows after missed webhooks. A user not at Clerk is deleted."""
    question = "Read {who} from Clerk? A user whom Clerk does not have is deleted here, permanently."
    _act(ids, Action.SYNC, ManageUsers.sync, ask=question, yes=yes, json=json)


@app.command
def delete(*ids: Ids, yes: Yes = False, json: Json = False) -> None:
    """Delete the users at Clerk, and erase every personal field here. This cannot be undone."""
    question = "Delete {who} at Clerk and here, for ever?"
    _act(ids, Action.DELETE, ManageUsers.delete, ask=question, yes=yes, json=json)


@app.command
def set_metadata(
    *ids: Ids,
    values: Annotated[Sequence[str], Parameter(name="--set", negative="")] = (),
    patch: str | None = None,
    json: Json = False,
) -> None:
    """Merge into the users' public metadata, as Clerk does: objects into objects, and a key that is null is removed.

    Args:
        values: `key=value`, as often as you like; the value is JSON, or else text: `--set plan=pro --set trial=null`.
        patch: The same as one JSON object: `--patch '{"plan": "pro", "trial": null}'`.
    """
    merged = _patch(values, patch)
    _act(ids, Action.SET_METADATA, lambda users, who: users.set_public_metadata(who, merged), json=json)


@app.command
def revoke_sessions(*ids: Ids, yes: Yes = False, json: Json = False) -> None:
    """Sign the users out everywhere. A service that checks for revoked sessions refuses their tokens from now on."""
    who = user_ids(ids)
    confirm(f"End all sessions of {_named(who)}? They have to sign in again.", yes=yes)

    def show(user_id: UserId, revoked: int) -> None:
        if json:
            output.print_json([{"id": user_id, "action": "revoke-sessions", "revoked": revoked}])
        else:
            print(f"{user_id}: {counted(revoked, 'session')} ended", flush=True)

    run_for_each(who, lambda container: container.manage_users().revoke_sessions, or_say(show), as_json=json)


def _act(  # noqa: PLR0913  # what the commands differ in
    ids: Sequence[str], action: Action, use_case: UseCase, *, ask: str | None = None, yes: bool = False, json: bool
) -> None:
    who = user_ids(ids)
    if ask:
        confirm(ask.format(who=_named(who)), yes=yes)

    def show(user_id: UserId, decision: Decision) -> None:
        user = decision.user
        if json:
            output.print_json([{"id": user_id, "outcome": decision.outcome, "user": user_document(user)}])
        else:
            print(f"{user_id}: {outcome_of(action, decision.outcome, user)}", flush=True)

    run_for_each(who, lambda container: partial(use_case, container.manage_users()), or_say(show), as_json=json)


async def _at_clerk(container: ServeContainer, limit: int) -> Sequence[Listed]:
    identities = container.identities()
    users: list[Listed] = []
    while len(users) < limit:
        page = min(PAGE, limit - len(users))
        listed = await identities.recently_updated(offset=len(users), limit=page)
        users += listed
        if len(listed) < page:
            break
    return users


def _show_listed(users: Sequence[Listed], *, as_json: bool) -> None:
    if as_json:
        output.print_json(output.as_listed(user) for user in users)
    elif users:
        output.print_listed(users)
    else:
        print("Clerk has no users.", file=sys.stderr)


def _named(who: Sequence[UserId]) -> str:
    return who[0] if len(who) == 1 else f"{counted(len(who), 'user')} ({', '.join(who)})"


def _patch(values: Sequence[str], patch: str | None) -> dict[str, Any]:
    """Read the two ways to say it; ends the program when they say nothing, or what is no patch."""
    merged: Any = {}
    if patch is not None:
        try:
            merged = msgspec.json.decode(patch)
        except (msgspec.DecodeError, RecursionError):
            merged = None
        if not isinstance(merged, dict):
            fail("--patch: expected a JSON object. Nothing was done.", EX_USAGE)
    for value in values:
        key, separator, text = value.partition("=")
        if not separator or not key:
            fail("--set: expected key=value, such as --set plan=pro. Nothing was done.", EX_USAGE)
        try:
            merged[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            merged[key] = text
        except RecursionError:
            fail(f"--set: the metadata is nested more than {MAX_METADATA_DEPTH} deep. Nothing was done.", EX_USAGE)
    if is_too_deep(merged):
        fail(f"The metadata is nested more than {MAX_METADATA_DEPTH} deep. Nothing was done.", EX_USAGE)
    if not merged:
        fail("Say what to merge: --set key=value, or --patch with a JSON object that is not empty.", EX_USAGE)
    return dict(merged)
