"""What `auth-service users` says of an action that was done."""

import pytest
from sdktest.rows import each_row

from domain.decision import Outcome
from domain.delete_user import delete_user
from domain.sync_user import sync_user
from entrypoints.cli.users.outcomes import Action, outcome_of
from support.users import USER, deletion, snapshot


def row(**fields):
    return sync_user(None, snapshot(**fields)).user


@each_row("outcome", [Outcome.UPDATED, Outcome.UNCHANGED, Outcome.STALE])
@each_row(
    ("action", "fields", "says"),
    [
        (Action.BAN, {"banned": True}, "banned (version 1)"),
        (Action.UNBAN, {"banned": False}, "not banned (version 1)"),
        (Action.LOCK, {"locked": True}, "locked (version 1)"),
        (Action.UNLOCK, {"locked": False}, "not locked (version 1)"),
        (Action.SET_METADATA, {}, "metadata set (version 1)"),
    ],
)
def test_what_holds_is_said_whoever_was_faster_to_store_it(action, fields, says, outcome):
    assert outcome_of(action, outcome, row(**fields)) == says


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        (Action.BAN, {"banned": False}),
        (Action.UNBAN, {"banned": True}),
        (Action.LOCK, {"locked": False}),
        (Action.UNLOCK, {"locked": True}),
    ],
)
def test_a_row_that_says_otherwise_is_told(action, fields):
    said = outcome_of(action, Outcome.STALE, row(**fields))

    assert said == f"{action} at Clerk; our row is of a later change, which says otherwise (version 1)"


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome.CREATED, "created here (version 1)"),
        (Outcome.UPDATED, "updated here (version 1)"),
        (Outcome.UNCHANGED, "nothing differs (version 1)"),
        (Outcome.STALE, "left as it is: what we hold is newer than what Clerk answered (version 1)"),
    ],
)
def test_a_sync_says_what_became_of_our_row(outcome, says):
    assert outcome_of(Action.SYNC, outcome, row()) == says


@pytest.mark.parametrize(
    ("action", "outcome", "says"),
    [
        (Action.DELETE, Outcome.DELETED, "deleted (version 1)"),
        (Action.DELETE, Outcome.UNCHANGED, "was deleted before, for ever (version 1)"),
        (Action.SYNC, Outcome.DELETED, "deleted here: Clerk has no such user (version 1)"),
        (Action.SYNC, Outcome.STALE, "was deleted before, for ever (version 1)"),
    ],
)
def test_a_tombstone_is_said_to_be_one(action, outcome, says):
    assert outcome_of(action, outcome, delete_user(None, deletion(USER)).user) == says
