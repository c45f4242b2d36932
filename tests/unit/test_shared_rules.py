"""Rules that the service and the SDK each state, because neither may import the other where they are stated."""

from anomalyze_auth import _fields, identity
from domain import session, user


def test_a_user_id_is_the_same_in_a_session_token_as_everywhere_else():
    assert (identity.USER_ID.pattern, identity.USER_ID.flags) == (user.USER_ID.pattern, user.USER_ID.flags)


def test_every_session_that_a_token_can_name_can_be_revoked():
    assert session.SESSION_ID.pattern == _fields._IDENTIFIER.pattern
