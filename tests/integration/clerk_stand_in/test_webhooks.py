"""The news of a stand-in, as they arrive."""

import json
import threading
import time

import pytest

from application.errors import ForgedWebhookError
from devkit.fake_clerk.deliveries import DeliveryAttempt, Disorder
from devkit.fake_clerk.webhook_sender import SVIX_SCHEDULE_S, WebhookSender
from domain.snapshot import Deletion
from support.clerk_stand_in import running_stand_in
from support.http_server import Answer, http_server
from support.received_webhooks import lower, news, svix_ids
from support.web import SECRET

OTHER = "whsec_" + "b3RoZXIh" * 4


OLD = "whsec_" + "b2xkb2xk" * 4


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


def test_an_answer_that_is_long_is_read_in_part(clerk, receiver):
    receiver.answers = lambda _: Answer(document={"outcome": "created", "more": "x" * 3_000_000})
    clerk.instance.create()
    clerk.instance.create()
    clerk.wait_for_webhooks()

    assert [(attempt.outcome, len(attempt.answer)) for attempt in clerk.webhooks.attempts] == [(200, 65_536)] * 2
