"""What a stand-in sends when a session ends."""

import json

import pytest

from domain.session import RevokedSession
from support.received_webhooks import news

ENDS = {
    "session.revoked": lambda instance, user, session: instance.revoke_session(session),
    "session.ended": lambda instance, user, session: instance.end_session(session),
    "session.removed": lambda instance, user, session: instance.delete(user),
}


@pytest.mark.parametrize("kind", [*ENDS, "ban"])
def test_each_way_to_end_a_session_sends_the_event_of_it(in_order, receiver, kind):
    instance = in_order.instance
    user = instance.create(email_address=["grace@example.org"])["id"]
    session = instance.sign_in(user)["id"]
    if kind == "ban":
        instance.set_banned(user, banned=True)
    else:
        ENDS[kind](instance, user, session)
    in_order.wait_for_webhooks()

    sent = [json.loads(request.body) for request in receiver.requests]
    (end,) = [event for event in sent if event["type"].startswith("session.")]
    assert end["type"] == ("session.revoked" if kind == "ban" else kind)
    assert (end["data"]["id"], end["data"]["user_id"]) == (session, user)
    assert end["data"]["status"] == end["type"].partition(".")[2]
    found = [news(request) for request in receiver.requests]
    assert [each.id for each in found if isinstance(each, RevokedSession)] == [session]


def test_a_session_that_is_over_ends_no_second_time(in_order, receiver):
    instance = in_order.instance
    user = instance.create(email_address=["grace@example.org"])["id"]
    instance.end_session(instance.sign_in(user)["id"])
    instance.set_banned(user, banned=True)
    instance.delete(user)
    in_order.wait_for_webhooks()

    sent = [json.loads(request.body)["type"] for request in receiver.requests]
    assert [kind for kind in sent if kind.startswith("session.")] == ["session.ended"]
