"""A user's row, and the user that is read from it."""

from attrs import evolve
from hypothesis import given
from sdktest.rows import each_row

from adapters.postgres.rows import row_from, user_again_from, user_from
from domain.sync_user import sync_user
from support.users import snapshot, snapshots


@given(snapshots)
def test_a_user_is_read_as_it_was_written(new):
    user = sync_user(None, new).user

    assert repr(user_from(row_from(user, revision=1))) == repr(user)
    assert repr(user_from(row_from(user, revision=1)).profile.public_metadata) == repr(user.profile.public_metadata)


@each_row("values", [(1, True), (1, 1.0), ({}, []), ("a", "b")])
def test_a_row_that_differs_in_one_json_value_is_another_user(values):
    user = sync_user(None, snapshot()).user
    metadata = [{"n": value} for value in values]
    rows = [row_from(evolve(user, profile=evolve(user.profile, public_metadata=one)), revision=1) for one in metadata]

    assert len({user_again_from(row) for row in rows}) == 2
    read = [user_again_from(row).profile.public_metadata for row in (*rows, *rows)]

    assert [repr(one) for one in read] == [repr(one) for one in (*metadata, *metadata)]
