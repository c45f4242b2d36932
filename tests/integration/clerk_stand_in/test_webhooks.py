"""The news of a stand-in, as they arrive."""

import json
import threading
import time

import pytest

from adapters.clerk.webhooks import ClerkWebhooks
from application.errors import ForgedWebhookError
from application.users.signing_key import parse_signing_key
from devkit.fake_clerk import webhook_sender
from devkit.fake_clerk.deliveries import DeliveryAttempt, Disorder
from devkit.fake_clerk.webhook_sender import SVIX_SCHEDULE_S, WebhookSender
from domain.session import RevokedSession
from domain.snapshot import Deletion
from support.clerk_stand_in import running_stand_in
from support.http_server import Answer, http_server
from support.web import SECRET

OTHER = "whsec_" + "b3RoZXIh" * 4
OLD = "whsec_" + "b2xkb2xk" * 4


@pytest.fixture
def receiver():
    with http_server(lambda _: Answer()) as server:
        yield server


@pytest.fixture
def clerk(clerk_stand_in, receiver):
    clerk_stand_in.send_webhooks_to(f"{receiver.url}/webhooks/clerk")
    return clerk_stand_in


@pytest.fixture
def in_order(receiver):
    """One at a time: they arrive as they were sent."""
    with running_stand_in(concurrency=1) as clerk:
        clerk.send_webhooks_to(f"{receiver.url}/webhooks/clerk")
        yield clerk


def lower(request):
    return {name.lower(): value for name, value in request.headers}


def news(request, secret=SECRET):
    return ClerkWebhooks([parse_signing_key(secret)]).read(lower(request), request.body)


def svix_ids(requests):
    return [lower(request)["svix-id"] for request in requests]


def bodies(receiver):
    return [json.loads(request.body) for request in receiver.requests]


def test_each_change_is_told_in_clerks_shape_and_genuine(in_order, receiver):
    instance = in_order.instance
    user_id = instance.create(email_address=["ada@example.org"], external_id="x1")["id"]
    instance.update(user_id, first_name="Ada")
    instance.merge_metadata(user_id, public_metadata={"plan": "pro"})
    instance.set_banned(user_id, banned=True)
    instance.set_locked(user_id, locked=True)
    last = instance.get(user_id)
    instance.delete(user_id)
    in_order.wait_for_webhooks()

    told = bodies(receiver)
    assert [body["type"] for body in told] == ["user.created", *["user.updated"] * 4, "user.deleted"]
    assert told[-2]["data"]["updated_at"] == told[-2]["timestamp"] == last["updated_at"]
    assert told[-1]["data"] == {"id": user_id, "object": "user", "deleted": True, "external_id": "x1"}
    assert "object" not in told[0]["data"]["email_addresses"][0]["verification"]
    read = [news(request) for request in receiver.requests]
    times = [snapshot.source.updated_at for snapshot in read[:-1]]
    assert times == sorted(set(times))
    assert isinstance(read[-1], Deletion)
    assert len(set(svix_ids(receiver.requests))) == 6


def test_a_sign_in_is_told_as_an_update(in_order, receiver):
    in_order.instance.sign_in(in_order.instance.create()["id"])
    in_order.wait_for_webhooks()

    assert [body["type"] for body in bodies(receiver)] == ["user.created", "user.updated"]
    assert bodies(receiver)[1]["data"]["last_sign_in_at"]


def test_what_is_done_quietly_or_refused_or_seeded_is_told_to_nobody(clerk, receiver, ask):
    clerk.instance.seed(3)
    with clerk.instance.quietly():
        clerk.instance.create(username="ada")
    assert ask("POST", "/v1/users", json={"username": "ada"}).status_code == 422
    assert ask("POST", "/v1/users/user_none/ban").status_code == 404
    clerk.wait_for_webhooks()

    assert receiver.requests == []


@pytest.mark.parametrize("status", [500, 302, 400])
def test_what_was_not_taken_is_sent_again_as_the_same_message(clerk, receiver, status):
    receiver.answers = lambda _: Answer(200 if len(receiver.requests) > 2 else status)
    clerk.instance.create()
    clerk.wait_for_webhooks()

    assert [(attempt.number, attempt.outcome) for attempt in clerk.webhooks.attempts] == [
        (1, status),
        (2, status),
        (3, 200),
    ]
    assert len(receiver.requests) == 3
    assert len(set(svix_ids(receiver.requests))) == 1
    assert all(news(request) for request in receiver.requests)


def test_a_receiver_that_is_not_there_yet_gets_it_later(clerk_stand_in):
    with http_server(lambda _: Answer()) as server:
        port = server.port
    clerk_stand_in.send_webhooks_to(f"http://127.0.0.1:{port}")
    clerk_stand_in.instance.create()
    while not clerk_stand_in.webhooks.attempts:
        time.sleep(0.01)
    with http_server(lambda _: Answer(), port=port) as server:
        clerk_stand_in.wait_for_webhooks()

    outcomes = [attempt.outcome for attempt in clerk_stand_in.webhooks.attempts]
    assert (outcomes[0], outcomes[-1], len(server.requests)) == ("ConnectError", 200, 1)


def test_an_attempt_carries_the_time_it_was_made_at(receiver):
    now = [1_795_503_190_733]
    receiver.answers = lambda _: Answer(500) if len(receiver.requests) < 2 else Answer()

    def later(_: DeliveryAttempt) -> None:
        now[0] += 60_000

    with running_stand_in(now_ms=lambda: now[0], on_attempt=later) as clerk:
        clerk.send_webhooks_to(receiver.url)
        clerk.instance.create()
        clerk.wait_for_webhooks()

    first, second = (lower(request) for request in receiver.requests)
    assert int(second["svix-timestamp"]) == int(first["svix-timestamp"]) + 60
    assert first["svix-id"] == second["svix-id"]
    assert first["svix-signature"] != second["svix-signature"]
    assert receiver.requests[0].body == receiver.requests[1].body


def test_it_gives_up_when_the_schedule_ends(clerk, receiver):
    receiver.answers = lambda _: Answer(503)
    clerk.webhooks.schedule_s = (0.0, 0.01, 0.01)
    clerk.instance.create()
    clerk.wait_for_webhooks()

    assert len(receiver.requests) == 3
    assert len(SVIX_SCHEDULE_S) == 8
    assert sum(SVIX_SCHEDULE_S) == 27 * 3600 + 35 * 60 + 5


def test_every_endpoint_gets_it_under_one_id_each_with_its_own_secret(clerk, receiver):
    with http_server(lambda _: Answer()) as second:
        clerk.send_webhooks_to(second.url, OTHER)
        clerk.instance.create()
        clerk.wait_for_webhooks()

    assert news(receiver.requests[0])
    assert news(second.requests[0], OTHER)
    assert svix_ids(receiver.requests) == svix_ids(second.requests)
    with pytest.raises(ForgedWebhookError):
        news(second.requests[0])


def test_while_a_secret_is_rotated_both_sign(clerk_stand_in, receiver):
    clerk_stand_in.send_webhooks_to(receiver.url, SECRET, OLD)
    clerk_stand_in.instance.create()
    clerk_stand_in.wait_for_webhooks()

    assert news(receiver.requests[0], SECRET)
    assert news(receiver.requests[0], OLD)


def test_disorder_drops_doubles_and_overtakes_as_its_seed_says(in_order, receiver):
    in_order.webhooks.disorder = Disorder(
        drop_share=0.2, duplicate_share=0.2, reorder_share=0.5, reorder_within_s=0.2, seed=3
    )
    made = [in_order.instance.create()["id"] for _ in range(60)]
    in_order.wait_for_webhooks()

    arrived = [news(request).id for request in receiver.requests]
    assert set(arrived) < set(made)
    assert len(set(svix_ids(receiver.requests))) == len(set(arrived)) < len(arrived)
    first_times = list(dict.fromkeys(arrived))
    assert first_times != sorted(first_times, key=made.index)

    again: list[str] = []
    sender = WebhookSender(in_order.webhooks.endpoints, now_s=lambda: 0)
    sender.disorder = in_order.webhooks.disorder
    for user_id in made:
        before = sender.pending
        sender.send("user.created", {"id": user_id}, 0)
        again += [user_id] * (sender.pending - before)
    assert sorted(again) == sorted(arrived)


def test_paused_means_held_back_not_lost(clerk, receiver):
    clerk.webhooks.paused = True
    clerk.instance.create()
    time.sleep(0.1)
    assert (receiver.requests, clerk.webhooks.pending) == ([], 1)

    clerk.webhooks.paused = False
    clerk.wait_for_webhooks()
    assert len(receiver.requests) == 1


def test_no_more_attempts_at_a_time_than_allowed(receiver):
    busy, most, lock = 0, 0, threading.Lock()

    def slow(_):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.02)
        with lock:
            busy -= 1
        return Answer()

    receiver.answers = slow
    with running_stand_in(concurrency=4) as clerk:
        clerk.send_webhooks_to(receiver.url)
        for _ in range(40):
            clerk.instance.create()
        clerk.wait_for_webhooks()

    assert len(receiver.requests) == 40
    assert 1 < most <= 4


def test_what_no_longer_fits_is_lost_and_counted(clerk_stand_in, receiver):
    sender = WebhookSender([], now_s=lambda: 0, capacity=2)
    clerk_stand_in.send_webhooks_to(receiver.url)
    sender.endpoints = clerk_stand_in.webhooks.endpoints
    for number in range(5):
        sender.send("user.created", {"id": f"user_{number}"}, 0)

    assert (sender.pending, sender.overflowed) == (2, 3)


def test_the_sender_is_steered_and_watched_over_http(clerk, receiver, ask):
    assert ask("PUT", "/stand-in/webhooks", json={"paused": True, "drop_share": 0.5}).json()["paused"] is True
    assert ask("PUT", "/stand-in/webhooks", json={"drop_share": 0}).json()["paused"] is True
    clerk.instance.create("user_ada")
    assert ask("GET", "/stand-in/webhooks").json()["pending"] == 1
    ask("PUT", "/stand-in/webhooks", json={"paused": False})
    clerk.wait_for_webhooks()

    (attempt,) = ask("GET", "/stand-in/webhooks").json()["attempts"]
    assert (attempt["event"], attempt["user_id"], attempt["outcome"]) == ("user.created", "user_ada", 200)
    for nonsense in ({"drop": 1}, {"drop_share": 2}, {"paused": "yes"}, {"drop_share": "0.5"}):
        assert ask("PUT", "/stand-in/webhooks", json=nonsense).status_code == 400


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


def test_messages_are_sent_again_one_after_the_other_in_the_order_that_is_asked_for(clerk, receiver, ask):
    user_id = clerk.instance.create()["id"]
    clerk.instance.update(user_id, first_name="Ada")
    clerk.wait_for_webhooks()
    ids = sorted(svix_ids(receiver.requests))
    receiver.answers = lambda _: Answer(after_s=0.02)
    assert ask("POST", "/stand-in/deliveries", json={"svix_ids": ids, "times": 3}).status_code == 200
    clerk.wait_for_webhooks()

    assert svix_ids(receiver.requests)[2:] == [ids[0]] * 3 + [ids[1]] * 3
    assert len({lower(request)["traceparent"] for request in receiver.requests}) == 8


def test_a_forged_copy_is_not_genuine_and_is_never_retried(clerk, receiver, ask):
    clerk.instance.create()
    clerk.wait_for_webhooks()
    receiver.answers = lambda _: Answer(400)
    svix_id = svix_ids(receiver.requests)[0]
    ask("POST", "/stand-in/deliveries", json={"svix_ids": [svix_id], "forged": True})
    clerk.wait_for_webhooks()

    genuine, forged = receiver.requests
    assert (genuine.body, news(genuine).id) == (forged.body, clerk.instance.user_ids()[0])
    with pytest.raises(ForgedWebhookError):
        news(forged)


def test_a_dropped_message_is_noted_and_can_be_sent_later(clerk, receiver, ask):
    made = ask("POST", "/v1/users", json={"username": "ada"}, headers={"stand-in-webhooks": "drop"}).json()
    clerk.wait_for_webhooks()
    (lost,) = clerk.webhooks.attempts
    assert (receiver.requests, lost.outcome, lost.number) == ([], "dropped", 0)
    found = ask("GET", f"/stand-in/deliveries/{lost.svix_id}").json()
    assert (found["user_id"], json.loads(found["body"])["data"]["username"]) == (made["id"], "ada")
    ask("POST", "/stand-in/deliveries", json={"svix_ids": [lost.svix_id]})
    clerk.wait_for_webhooks()

    assert news(receiver.requests[0]).id == made["id"]
    ask("PATCH", f"/v1/users/{made['id']}", json={"first_name": "Ada"})
    clerk.wait_for_webhooks()
    assert len(receiver.requests) == 2  # only that request's were dropped


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"svix_ids": []}, 400),
        ({"svix_ids": "msg_1"}, 400),
        ({"svix_ids": [1]}, 400),
        ({"svix_ids": ["msg_1"], "times": True}, 400),
        ({"svix_ids": ["msg_1"], "times": 0}, 400),
        ({"svix_ids": ["msg_1"], "times": 1001}, 400),
        ({"svix_ids": ["msg_1"], "forged": "yes"}, 400),
        ({"svix_ids": ["msg_1"], "more": 1}, 400),
        ({"svix_ids": ["msg_1"]}, 404),
    ],
)
def test_what_cannot_be_sent_again_is_refused(ask, body, status):
    assert ask("POST", "/stand-in/deliveries", json=body).status_code == status


@pytest.mark.parametrize("body", [{}, {"svix_id": 1}, {"svix_id": "msg_1", "outcome": []}])
def test_an_attempt_of_another_program_that_is_none_is_refused(ask, body):
    assert ask("POST", "/stand-in/attempts", json=body).status_code == 400
    assert ask("GET", "/stand-in/deliveries/msg_1").status_code == 404


def test_an_answer_that_is_long_is_read_in_part(clerk, receiver):
    receiver.answers = lambda _: Answer(document={"outcome": "created", "more": "x" * 3_000_000})
    clerk.instance.create()
    clerk.instance.create()
    clerk.wait_for_webhooks()

    assert [(attempt.outcome, len(attempt.answer)) for attempt in clerk.webhooks.attempts] == [(200, 65_536)] * 2


def test_large_messages_are_kept_up_to_so_many_bytes(clerk, receiver, ask, monkeypatch):
    monkeypatch.setattr(webhook_sender, "MOST_BYTES", 55_000)
    ids = [clerk.instance.create(public_metadata={"note": "x" * 8_000})["id"] for _ in range(8)]
    clerk.wait_for_webhooks()
    sent = {news(request).id: lower(request)["svix-id"] for request in receiver.requests}

    assert ask("GET", f"/stand-in/deliveries/{sent[ids[0]]}").status_code == 404
    assert all(ask("GET", f"/stand-in/deliveries/{sent[user]}").status_code == 200 for user in ids[-4:])
